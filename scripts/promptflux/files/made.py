"""What was made for what: the request of a job beside the record of what it made.

Before a run, the request of each job is written to `results/requests/{job}.json`: all that its
results are a function of beside the files of other jobs, the digests of the user's own
files included. When a job has ended well, `results/made/{job}.json` names the request that it
ended for, and the digests of its files. So a copied results folder, a file that was replaced by
an older one, and one that was damaged are known for what they are, whatever their times say.

A request is an input of its job. It is older than everything if the job's files are those
that were made for it, and new if not; the rest is Snakemake's.
"""

import json
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from promptflux.files.digests import Digests
from promptflux.files.whole import sha256_of_file, whole
from promptflux.paths import Results

LONG_AGO = 1_000_000_000  # the time of a request whose files are made, in seconds since 1970
AGAIN = "again"  # what of a request tells it from the same request before, after which its files were damaged


def write_record(request: str | Path, files: Iterable[str | Path], inputs: Iterable[str | Path] = ()) -> None:
    """Record that the job of `request` has made `files` from `inputs`."""
    results = Results.of(request)
    record = {
        "request": json.loads(Path(request).read_text(encoding="utf-8")),
        "files": {
            results.name(file): {"sha256": sha256_of_file(file), "size": os.path.getsize(file)}
            for file in files
        },
        # Of other jobs: one that is gone is made again with this job, as Snakemake misses no input of what is there.
        "inputs": [
            results.name(file)
            for file in map(str, inputs)
            if file.startswith(f"{results()}/") and file != str(request)
        ],
    }
    with whole(results.made(results.job_of(request))) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")


def read_record(path: str | Path) -> dict[str, Any]:
    """The record of a job; an empty one if there is none or it is damaged."""
    nothing: dict[str, Any] = {"request": None, "files": {}, "inputs": []}
    record = _read(path)
    try:
        if not all(len(file["sha256"]) == 64 and file["size"] >= 0 for file in record["files"].values()):
            return nothing
        return {
            "request": record["request"],
            "files": record["files"],
            "inputs": list(map(str, record["inputs"])),
        }
    except (KeyError, TypeError, AttributeError):
        return nothing


def damaged_files(job: str, results: Results, digests: Digests) -> list[str]:
    """The files, by their names in the results, that a job made and that are not what it made."""
    path = Path(results.made(job))
    record = read_record(path)
    recorded = path.stat().st_mtime_ns if record["files"] else 0
    found = []
    for name, file in record["files"].items():
        try:
            status = os.stat(results(name))
        except OSError:
            found.append(name)
            continue
        # What is older than its record is what was recorded; a copy may be newer.
        as_it_was = status.st_size == file["size"] and (
            status.st_mtime_ns <= recorded or digests.of(results(name)) == file["sha256"]
        )
        if not as_it_was:
            found.append(name)
    return found


def bring_up_to_date(
    requests: Mapping[str, Mapping[str, Any]], results: Results, digests: Digests
) -> dict[str, list[str]]:
    """Write the request of each job, by its name; returns the damaged files of each job that has some.

    A request is new if its job has to run: because it was made for another one, or a file of
    its is gone or damaged.
    """
    damaged: dict[str, list[str]] = {}
    for job, request in requests.items():
        wanted = json.loads(json.dumps(request))  # lists for tuples, as it is read back
        path, record = Path(results.request(job)), Path(results.made(job))
        found = damaged_files(job, results, digests)
        if found:
            damaged[job] = found
        recorded = read_record(record)
        gone = [name for name in recorded["inputs"] if not os.path.lexists(results(name))]
        was_made_for_it = _without_again(recorded["request"]) == wanted
        if was_made_for_it and not found and not gone:
            _write(path, wanted, _read(path), old=True)
        else:
            _write(
                path,
                {**wanted, **_again(path, record, [*found, *gone], was_made_for_it)},
                _read(path),
                old=False,
            )
    return damaged


def _again(path: Path, record: Path, found: Sequence[str], was_made_for_it: bool) -> dict[str, Any]:
    """What makes a request another than the one before, where it asks for the same.

    Snakemake takes a small input with the content of before for the same, whatever its time.
    """
    if was_made_for_it:
        return {AGAIN: {"for": found, "after": sha256_of_file(record)}}
    if not record.exists() and _is_old(path):
        return {AGAIN: {"without a record since": time.time()}}
    before = _read(path)
    return {AGAIN: before[AGAIN]} if isinstance(before, dict) and AGAIN in before else {}


def _without_again(request: Any) -> Any:
    return (
        {key: value for key, value in request.items() if key != AGAIN} if isinstance(request, dict) else None
    )


def _is_old(path: Path) -> bool:
    return path.exists() and path.stat().st_mtime == LONG_AGO


def _write(path: Path, request: Mapping[str, Any], before: Any, old: bool) -> None:
    """Write a request where it differs from the one `before`, and give it its time."""
    same = _without_again(before) == request if old else before == request
    if not same or (_is_old(path) and not old):
        with whole(path) as partial:
            partial.write_text(json.dumps(request, indent=1, sort_keys=True), encoding="utf-8")
    if old and not _is_old(path):
        os.utime(path, (LONG_AGO, LONG_AGO))


def _read(path: str | Path) -> Any:
    """The content of a JSON file; None if there is none or it is damaged."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None

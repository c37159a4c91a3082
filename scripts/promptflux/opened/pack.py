"""A finished study as one zip file, an RO-Crate: all that it takes to run it again and to see that the same comes out.

    ro-crate-metadata.json    what is in it and how it was made, see `crate`
    study/                    the config, the prompts and the user's own files, as they are run
    results/                  the manifest, every table, the report
    inputs.tsv                each file of the user's that was read, its SHA-256, and whether it is in the pack
    recipes.jsonl             what each image is a function of, and what it was made with
    environment/              versions; the lock, the conda environments and Julia's manifest

Without weights: models are big, and often not the packer's to give. What must be brought is in inputs.tsv by its digest.
The same results make the same bytes.
"""

import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from promptflux.errors import StudyError, listed, plain, reason, shown
from promptflux.files.checksums import read_checksums
from promptflux.files.hdf5 import open_hdf5
from promptflux.files.made import read_record
from promptflux.files.predictions import PREDICTIONS
from promptflux.files.whole import sha256_of_file, whole
from promptflux.generation.prompts import read_prompts
from promptflux.images.provenance import read_provenance
from promptflux.paths import HERE
from promptflux.runtime.version import version
from promptflux.study.config import CONFIG, find
from promptflux.study.finished import Finished

WORKFLOW = Path(__file__).resolve().parents[3]
STUDY, RESULTS, INPUTS, RECIPES, ENVIRONMENT = (
    "study",
    "results",
    "inputs.tsv",
    "recipes.jsonl",
    "environment",
)
METADATA = "ro-crate-metadata.json"
TOPS = {STUDY, RESULTS, ENVIRONMENT, INPUTS, RECIPES, METADATA}
# What of the user's own is packed: specs, labels, tables, images. All else that is read are weights, or belong to them.
PACKED_SUFFIXES = {".yaml", ".yml", ".txt", ".tsv", ".csv", ".png", ".jpg", ".jpeg", ".webp"}
NOT_PACKED = ("logs/", "benchmarks/", "comparison/", "verify.tsv")  # of the tables of the results
PACKED, WORKFLOWS, BROUGHT = "in the pack", "of the workflow", "to be brought"
COLUMNS = ["file", "sha256", "where"]
TIME = (1980, 1, 1, 0, 0, 0)  # of every file of a pack; a zip knows none before
MOST_FILES, MOST_BYTES = 200_000, 50_000_000_000  # that are unpacked


@dataclass(frozen=True)
class Input:
    """A file that a study read. where: PACKED, of the WORKFLOWS' own (relative to it), or BROUGHT by who runs the pack."""

    file: str
    sha256: str
    where: str


Content = Mapping[str, Path | bytes]


def contents(study: Finished, with_images: bool = False) -> tuple[dict[str, Path | bytes], list[Input]]:
    """The files of a pack but for its metadata, by their names in it, sorted; and what the study read.

    with_images: whether the generated images are in it, too. Raises StudyError if the study has no records of what it
    was made of, and if what it read is not there any more as it was.
    """
    home = study.folder.resolve().parent
    inputs, files = [], {}
    for path, digest in sorted(_read_files(study).items()):
        entry, name = _input(path, digest, home)
        inputs.append(entry)
        if entry.where == PACKED:
            files[f"{STUDY}/{name}"] = home / name
    if gone := [file for file in files.values() if not file.is_file()]:
        raise StudyError(f"{listed(gone)}: the study read this file, and it is not there any more.")
    digests = {entry.file: entry.sha256 for entry in inputs}
    if changed := [
        name
        for name, file in files.items()
        if sha256_of_file(file) != digests[name.removeprefix(f"{STUDY}/")]
    ]:
        raise StudyError(
            f"{plain(study.folder)}: {listed(changed)} changed since the study ran; run snakemake there again."
        )
    config = dict(study.asked.config) | {"compare": None, "verify": None}
    found: dict[str, Path | bytes] = dict(files)
    if config["prompts"] is not None:
        found |= _prompts(study, config, home)
        config["prompts"] = "prompts.tsv"
    found[f"{STUDY}/{CONFIG}"] = _text(yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=100))
    for table in _tables(study.folder, with_images):
        found[f"{RESULTS}/{table.relative_to(study.folder).as_posix()}"] = table
    rows = ["\t".join(COLUMNS), *("\t".join([it.file, it.sha256, it.where]) for it in inputs)]
    found[INPUTS] = _text("\n".join(rows) + "\n")
    found[RECIPES] = _text("".join(_recipes(study)))
    found |= _environment(study)
    for name in found:
        _check_name(name)
    return dict(sorted(found.items())), inputs


def _read_files(study: Finished) -> dict[str, str]:
    """The files of the user's that the jobs of a study read, with their digests, as their records have them."""
    jobs = [f"import_weights/{classifier}" for classifier in study.tables]
    generated = study.asked.images
    for batch, images in study.batches.items():
        if any(image in generated for image in images):
            jobs.append(f"generate/{batch}")
        folders = (study.folder / "made/preprocess").glob("*")
        jobs += [f"preprocess/{folder.name}/{batch}" for folder in sorted(folders)]
    found: dict[str, str] = {}
    for job in jobs:
        record = study(HERE.made(job))
        if record.is_file():
            reads = (read_record(record)["request"] or {}).get("reads", {})
            found |= {path: digest for path, digest in reads.items() if not path.startswith(f"{HERE()}/")}
        elif not job.startswith("preprocess/"):  # of an input that no classifier has any more
            raise StudyError(
                f"{plain(study.folder)}: {HERE.name(HERE.made(job))} is missing, which tells what the study was made of; run "
                f"snakemake there again (with a remote storage there are none, and no pack)."
            )
    return found


def _input(path: str, digest: str, home: Path) -> tuple[Input, str]:
    """A file that was read, and its name in the folder of the study, if it lies there. home: that folder."""
    full = Path(os.path.normpath(home / path))
    if full.is_relative_to(home) and not full.is_relative_to(WORKFLOW / "models"):
        name = full.relative_to(home).as_posix()
        return Input(name, digest, PACKED if full.suffix.lower() in PACKED_SUFFIXES else BROUGHT), name
    if full.is_relative_to(WORKFLOW):
        name = full.relative_to(WORKFLOW).as_posix()
        return Input(name, digest, WORKFLOWS), name
    return Input(str(full), digest, BROUGHT), str(full)


def _prompts(study: Finished, config: Mapping[str, Any], home: Path) -> Iterator[tuple[str, Path]]:
    """The table of the prompts, and the alternatives beside it. StudyError if it is not what the study was made of."""
    path = find(str(config["prompts"]), [home, WORKFLOW])
    where = home / path if path else None
    if where is None or list(read_prompts(where)) != list(study.asked.prompts):
        raise StudyError(
            f"{plain(config['prompts'])}: the prompts are not those that the study was made of; run snakemake in "
            f"{plain(home)} again."
        )
    yield f"{STUDY}/prompts.tsv", where
    if any("__" in (prompt.template or "") for prompt in study.asked.prompts):
        for file in sorted((where.parent / "wildcards").glob("*.txt")):
            yield f"{STUDY}/wildcards/{file.name}", file


def _tables(results: Path, with_images: bool) -> Iterator[Path]:
    """What of the results is packed."""
    wanted = [
        "*.tsv",
        "models/*_architecture*.txt",
        "images/**/*.jsonl",
        *(["images/**/*.png"] if with_images else []),
    ]
    named = (HERE.manifest, HERE.study, HERE.report, HERE.explorer)
    found = {results / HERE.name(file) for file in named}
    found |= {path for pattern in wanted for path in results.rglob(pattern) if path.is_file()}
    for path in sorted(found):
        name = path.relative_to(results).as_posix()
        if path.is_file() and not name.startswith(NOT_PACKED) and ".partial" not in path.name:
            yield path


def _recipes(study: Finished) -> Iterator[str]:
    for image in study.asked.images:
        told = read_provenance(study(HERE.image(image)))
        line = {"image": image, "recipe": told.get("recipe"), "made_with": told.get("made_with")}
        yield json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"


def _environment(study: Finished) -> dict[str, Path | bytes]:
    """Versions: of promptflux, of what made the images and ran the classifiers; and the files that environments are made of."""
    ran: dict[str, dict[str, str]] = {}
    batch = next(iter(study.batches))
    for classifier, engine, _ in study.each_table():
        with open_hdf5(
            study(HERE.predictions(classifier, engine, batch)), "predictions", PREDICTIONS
        ) as file:
            told = {key: str(value) for key, value in file.attrs.items() if key != "format"}
        ran[f"{classifier}/{engine}"] = told
    first = next(iter(study.asked.images), None)
    made = read_provenance(study(HERE.image(first))).get("made_with") if first else None
    versions = {"promptflux": version(), "images": made, "classifiers": ran}
    text = json.dumps(versions, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    files = [
        WORKFLOW / "requirements.txt",
        WORKFLOW / "julia/Manifest.toml",
        *sorted((WORKFLOW / "envs").glob("*.yaml")),
    ]
    return {f"{ENVIRONMENT}/versions.json": _text(text)} | {
        f"{ENVIRONMENT}/{file.name}": file for file in files
    }


def _text(text: str) -> bytes:
    return text.encode("utf-8", errors="replace")


def write_zip(path: str | Path, files: Content) -> None:
    """Write files by their names, sorted, without times or rights: equal content makes equal bytes."""
    with whole(path) as partial, zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as pack:
        for name, source in sorted(files.items()):
            entry = zipfile.ZipInfo(name, TIME)
            entry.compress_type, entry.create_system = zipfile.ZIP_DEFLATED, 3
            entry.external_attr = (stat.S_IFREG | 0o644) << 16
            content = source if isinstance(source, bytes) else source.read_bytes()
            pack.writestr(entry, content, compresslevel=9)


# The way back


def unpack(pack: str | Path, folder: str | Path) -> None:
    """Unpack a pack into a folder that is not there yet, or empty.

    Raises StudyError for what is no pack, is damaged, or has a name that leads out of the folder, stands for something
    else than a file, or is none that a pack has: then nothing is written.
    """
    target = Path(folder)
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise StudyError(
            f"{plain(folder)} is there already, and not empty; name another folder for the study."
        )
    try:
        with zipfile.ZipFile(pack) as opened:
            entries = opened.infolist()
            _check_entries(pack, entries)
            if broken := opened.testzip():
                raise StudyError(f"{plain(pack)}: it is damaged: {plain(broken)} has another checksum.")
            for entry in entries:
                with (
                    opened.open(entry) as source,
                    whole(target / entry.filename) as partial,
                    open(partial, "wb") as file,
                ):
                    shutil.copyfileobj(source, file)
    except StudyError:
        raise
    except FileNotFoundError:
        raise StudyError(f"{plain(pack)}: there is no such file.") from None
    except (
        zipfile.BadZipFile,
        OSError,
        ValueError,
        RuntimeError,
        NotImplementedError,
        EOFError,
        zlib.error,
    ) as error:
        raise StudyError(
            f"{plain(pack)}: this is no pack of a study, or it is damaged ({reason(error)})."
        ) from None


def _check_entries(pack: str | Path, entries: list[zipfile.ZipInfo]) -> None:
    if len(entries) > MOST_FILES or sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise StudyError(
            f"{plain(pack)}: it unpacks to more than {MOST_FILES:,} files or {MOST_BYTES:,} bytes, the most of a pack."
        )
    met: set[str] = set()
    for entry in entries:
        mode = entry.external_attr >> 16
        if entry.flag_bits & 1 or entry.is_dir() or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise StudyError(
                f"{plain(pack)}: {shown(entry.filename)} in it is no plain file, and a pack has no other."
            )
        # What zipfile makes of a name, `\0` and what follows cut, is not what the archive says.
        _check_name(entry.orig_filename, f"{plain(pack)}: ")
        if entry.filename.casefold() in met:
            raise StudyError(
                f"{plain(pack)}: {shown(entry.filename)} is in it twice (capitals do not tell names apart)."
            )
        met.add(entry.filename.casefold())
    if missing := [
        name
        for name in (METADATA, INPUTS, f"{STUDY}/{CONFIG}", f"{RESULTS}/manifest.sha256")
        if name not in met
    ]:
        raise StudyError(f"{plain(pack)}: this is no pack of a study: {listed(missing)} is not in it.")


def _check_name(name: str, where: str = "") -> None:
    """StudyError for a name that is none of a pack: it must stay in its folder, on any system, and hide nothing."""
    parts = PurePosixPath(name).parts
    sound = (
        name == "/".join(parts)
        and name.isprintable()
        and not re.search(r'[\\:*?"<>|{}]', name)
        and all(part[0] != "." and part[-1] not in ". " and len(part.encode()) <= 240 for part in parts)
        and bool(parts)
        and parts[0] in TOPS
    )
    if sound and parts[0] == STUDY:
        # Snakemake reads profiles and workflows where it runs; a study brings only what it is made of.
        sound = (
            len(parts) > 1
            and parts[1] not in ("profiles", "results")
            and Path(name).suffix.lower() in PACKED_SUFFIXES
        )
    if not sound:
        raise StudyError(
            f"{where}the name {shown(name)} is none that a pack can have: relative, of printable characters without "
            f'\\ : * ? " < > | {{ }}, no part hidden; rename the file.'
        )


def read_inputs(folder: Path) -> list[Input]:
    """The inputs of an unpacked study. Raises StudyError if the table is damaged."""
    path = folder / INPUTS
    try:
        header, *rows = (line.split("\t") for line in path.read_text(encoding="utf-8").splitlines())
        found = [Input(*row) for row in rows]
    except (OSError, ValueError, TypeError):
        header, found = [], []
    if header != COLUMNS or any(it.where not in (PACKED, WORKFLOWS, BROUGHT) for it in found):
        raise StudyError(f"{plain(path)}: this is not the table of a pack, or it is damaged.")
    return found


def check_inputs(folder: Path) -> None:
    """Raise StudyError with a sentence for each file that a packed study reads and that is not there as it was."""
    problems = []
    for it in read_inputs(folder):
        root = WORKFLOW if it.where == WORKFLOWS else folder / STUDY
        path = root / it.file
        if not path.is_file():
            what = {
                PACKED: "it is missing from the pack",
                WORKFLOWS: "this version of promptflux does not have it",
                BROUGHT: "it is not in the pack, as it has weights or lies elsewhere; put it there and start again",
            }[it.where]
            problems.append(
                f"{plain(path)}: the study reads this file (SHA-256 {it.sha256[:16]}...); {what}."
            )
        elif sha256_of_file(path) != it.sha256:
            what = "of this version of promptflux" if it.where == WORKFLOWS else "there"
            problems.append(
                f"{plain(path)}: the study was made of another file of this name; that {what} has another SHA-256 than "
                f"{it.sha256[:16]}..."
            )
    if problems:
        raise StudyError(*problems)


def verified(folder: Path) -> tuple[list[str], list[str]]:
    """The files of a study that was run again: those that are the same bytes as packed, and those that are not."""
    packed = read_checksums(folder / RESULTS / "manifest.sha256")
    made = read_checksums(folder / STUDY / HERE.manifest)
    names = dict.fromkeys([*packed, *made])
    return [name for name in names if packed.get(name) == made.get(name)], [
        name for name in names if packed.get(name) != made.get(name)
    ]

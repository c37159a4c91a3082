"""Record what a study asked for and what it made: `manifest.sha256`, `study.json` and the images' `metadata.jsonl`."""

import json
from collections.abc import Mapping, Sequence

from promptflux.errors import StudyError
from promptflux.files.batches import write_batches
from promptflux.files.checksums import read_checksums, write_checksums
from promptflux.files.made import read_record
from promptflux.files.predictions import image_names
from promptflux.files.whole import sha256_of_file, whole
from promptflux.generation.prompts import read_prompts
from promptflux.paths import Results
from promptflux.script import run
from promptflux.study.changes import asked
from promptflux.study.image_folder import write_metadata


def main(
    *,
    checksums: Sequence[str],
    tables: Sequence[str],
    predictions: Sequence[str],
    prompts: Sequence[str],
    config: Mapping,
    manifest: str,
    study: str,
    batches: str,
    metadata: str | None = None,
) -> None:
    """Write the SHA-256 of each image and table to `manifest`, sorted, and the config and prompts to `study`.

    batches: the table of the images in each batch. predictions: a file of each, of any classifier and engine.
    metadata: of the generated images, if there are any, see `write_metadata`.

    Raises StudyError if a table is not the one that was made.

    checksums: the lists of the batches. tables: files of the same results as `manifest`. prompts:
    the prompts table, if there is one.
    """
    results = Results.of(manifest)
    sums = {name: digest for path in checksums for name, digest in read_checksums(path).items()}
    sums |= {results.name(table): as_made(table, results) for table in tables}
    write_checksums(manifest, dict(sorted(sums.items())))
    rows = [prompt for table in prompts for prompt in read_prompts(table)]
    with whole(study) as partial:
        partial.write_text(json.dumps(asked(config, rows), ensure_ascii=False, indent=1), encoding="utf-8")
    members = {batch_of(results.name(path)): image_names(path) for path in predictions}
    write_batches(batches, members)
    if metadata:
        write_metadata(metadata, config, rows)


def batch_of(predictions: str) -> str:
    """The batch of a file of predictions, by its name in the results."""
    return predictions.split("/", 3)[3].removesuffix(".h5")


def as_made(table: str, results: Results) -> str:
    """The SHA-256 of a table of predictions; StudyError if it is not the one that was made."""
    digest, name = sha256_of_file(table), results.name(table)
    made = read_record(results.made(name.removesuffix(".tsv")))["files"].get(
        name
    )  # none with a remote storage
    if made and made["sha256"] != digest:
        raise StudyError(f"{table} is not what was made; start the run again, which makes it anew.")
    return digest


if "snakemake" in globals():
    run(main, snakemake)

"""Record what a study asked for and what it made: `manifest.sha256` and `study.json`."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptflux.changes import asked
from promptflux.checksums import read_checksums, write_checksums
from promptflux.files import sha256_of_file, whole
from promptflux.prompts import read_prompts


def main(
    *,
    checksums: Sequence[str],
    tables: Sequence[str],
    prompts: Sequence[str],
    config: Mapping,
    folder: str,
    manifest: str,
    study: str,
) -> None:
    """Write the SHA-256 of each image and table to `manifest`, sorted, and the config and prompts to `study`.

    checksums: the lists of the batches. tables: files below `folder`, the results. prompts:
    the prompts table, if there is one.
    """
    sums = {name: digest for path in checksums for name, digest in read_checksums(path).items()}
    sums |= {str(Path(table).relative_to(folder)): sha256_of_file(table) for table in tables}
    write_checksums(manifest, dict(sorted(sums.items())))
    rows = [prompt for table in prompts for prompt in read_prompts(table)]
    with whole(study) as partial:
        partial.write_text(json.dumps(asked(config, rows), ensure_ascii=False, indent=1), encoding="utf-8")


if "snakemake" in globals():
    from promptflux.job import job

    with job(snakemake):  # noqa: F821
        main(
            checksums=snakemake.input.checksums,  # noqa: F821
            tables=snakemake.input.tables,  # noqa: F821
            prompts=snakemake.input.prompts,  # noqa: F821
            config=snakemake.params.config,  # noqa: F821
            folder=str(Path(snakemake.output.manifest).parent),  # noqa: F821
            manifest=snakemake.output.manifest,  # noqa: F821
            study=snakemake.output.study,  # noqa: F821
        )

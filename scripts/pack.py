"""Pack a finished study into one zip file, an RO-Crate: config, prompts, recipes, tables, report and versions, without weights.

    python scripts/pack.py results my_study.zip --author "Ada Lovelace" --license https://spdx.org/licenses/CC-BY-4.0

`python scripts/rerun.py my_study.zip` runs it again and compares what comes out.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from promptflux.errors import StudyError, listed, plain
from promptflux.opened.crate import describe
from promptflux.opened.pack import BROUGHT, METADATA, contents, write_zip
from promptflux.runtime.job import note
from promptflux.study.finished import find_finished


def main(arguments: Sequence[str] | None = None) -> None:
    """Pack what the command line names. Raises StudyError."""
    given = _parsed(arguments)
    target = Path(given.pack)
    if target.exists():
        raise StudyError(f"{plain(target)} is there already; name another file.")
    study = find_finished(given.results)
    files, inputs = contents(study, given.images)
    words = f"{len(study.asked.images):,} images of {len(study.asked.prompts):,} prompts, seen by {listed(list(study.tables))}"
    files[METADATA] = describe(
        study,
        files,
        inputs,
        name=given.name or f"A promptflux study: {study.folder.resolve().parent.name}",
        description=given.description
        or f"{words}. Made with promptflux; scripts/rerun.py of it runs the study again.",
        authors=given.author,
        license_url=given.license,
    )
    write_zip(target, files)
    where = Counter(it.where for it in inputs)
    note(f"{plain(target)}: {len(files):,} files, {target.stat().st_size / 1e6:.1f} MB.")
    if brought := [it.file for it in inputs if it.where == BROUGHT]:
        note(
            f"Not in it, and needed to run it again ({where[BROUGHT]:,} files, in inputs.tsv): {listed(brought)}."
        )


def _parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="pack.py", description="Pack a finished study into one zip file, an RO-Crate."
    )
    parser.add_argument("results", help="the results folder of the study")
    parser.add_argument("pack", help="the zip file to write")
    parser.add_argument("--images", action="store_true", help="put the generated images in, too")
    parser.add_argument("--name", help="what the study is called")
    parser.add_argument("--description", help="what it is about")
    parser.add_argument(
        "--author",
        action="append",
        default=[],
        help="who made it, a name and, if there is one, an ORCID (https://orcid.org/...); may be given again",
    )
    parser.add_argument("--license", help="the URL of its license")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except StudyError as error:
        sys.exit(f"error: {error}")

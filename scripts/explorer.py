"""Create the explorer: a page on every image, what was asked of it and what was seen in it, that opens from disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptflux.report.explorer import write_explorer
from promptflux.script import run


def main(
    *,
    study: str,
    own: Mapping[str, str],
    drawn: Sequence[str],
    classifiers: Sequence[Mapping],
    engines: Mapping[str, str],
    tensors: Sequence[str],
    explorer: str,
    explained: Sequence[str] = (),
) -> None:
    """Write the page `explorer`. study: what was asked, as `record` wrote it. For the rest see `write_explorer`."""
    asked = json.loads(Path(study).read_text(encoding="utf-8"))
    write_explorer(
        title="promptflux study",
        asked=asked,
        own=own,
        drawn=drawn,
        classifiers=classifiers,
        engines=engines,
        tensors=tensors,
        output=explorer,
        explained=explained,
    )


if "snakemake" in globals():
    run(main, snakemake)

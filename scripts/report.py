"""Create the report: one HTML page, with everything in it, on what was asked and what came out."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from promptflux.paths import Results
from promptflux.report.page import prompt_sections, write_page
from promptflux.script import run


def main(
    *,
    study: str,
    engines: Mapping[str, str],
    engine_note: str,
    gallery: str,
    explorer: str,
    classifiers: Sequence[Mapping],
    tensors: Sequence[str],
    benchmarks: Mapping[str, Sequence[str]],
    verified: str | None = None,
    variants_section: Mapping | None = None,
    comparisons: Mapping | None = None,
    report: str,
    times: str,
    style: Mapping,
) -> None:
    """Write the page `report` and the figure `times` of where the time went.

    study: what was asked, as `record` wrote it. engines: the name of each that ran, and its title.
    For the rest see `write_page`.
    """
    asked = json.loads(Path(study).read_text(encoding="utf-8"))
    write_page(
        study={"config": asked["config"], "engines": engines, "engine_note": engine_note},
        prompts=prompt_sections(asked["prompts"], asked["config"], Results.of(report)),
        gallery=gallery,
        explorer=explorer,
        classifiers=classifiers,
        tensors=tensors,
        benchmarks=benchmarks,
        verified=verified,
        variants=variants_section,
        comparisons=comparisons,
        output=report,
        times_figure=times,
        style=style,
    )


if "snakemake" in globals():
    run(main, snakemake)

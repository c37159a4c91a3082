"""Which files of the results are shown together, for the rules that gather them."""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from promptflux.classifiers.why import last_convolution
from promptflux.figures.catalog import drawings
from promptflux.generation.prompts import Prompt
from promptflux.paths import HERE, Results
from promptflux.report.limits import MOST_GALLERY_IMAGES, MOST_GALLERY_ROWS
from promptflux.study.engines import REFERENCE, Engine
from promptflux.study.stages import STAGES, compared
from promptflux.study.study import Study


def gallery_rows(study: Study) -> list[dict[str, Any]]:
    """The rows of the gallery: the first prompts, and the user's own images as one.

    A row: `name`, the names of its first `images`, a caption for each in `captions`, and the `count` of all; with
    variants these are the captions, and the prompt is the `text` over them.
    """

    def row(name: str, images: list[str], caption: str | None) -> dict[str, Any]:
        shown = images[:MOST_GALLERY_IMAGES]
        return {
            "name": name,
            "images": shown,
            "captions": [caption or image for image in shown],
            "count": len(images),
        }

    def compared(prompt: Prompt) -> dict[str, Any]:
        found = row(prompt.name, study.images_of(prompt), None)
        labels = {name: study.grid.label(variant) for name, variant in study.grid.variants.items()}
        captions = [labels[study.variant_of(image)] for image in found["images"]]
        return {**found, "captions": captions, "text": prompt.prompt}

    rows = [
        compared(prompt) if study.has_variants else row(prompt.name, study.images_of(prompt), prompt.prompt)
        for prompt in islice(study.prompts, MOST_GALLERY_ROWS)
    ]
    if study.own_images:
        rows.append(row("Your own images", list(study.own_images), None))
    return rows[:MOST_GALLERY_ROWS]


def classifier_sections(
    study: Study, engines: Sequence[Engine], results: Results = HERE
) -> list[dict[str, Any]]:
    """What the report shows of each classifier: texts, and the paths of its files."""
    first = list(islice(study.image_batches, 1))  # one tells which versions ran
    return [
        {
            "name": name,
            "description": spec.about,
            "input": spec.input.to_dict(),
            "architecture": results.model(name, engines[-1].architecture),
            "predictions": {engine.name: results.predictions_table(name, engine.name) for engine in engines},
            "batches": {
                engine.name: [results.predictions(name, engine.name, batch) for batch in first]
                for engine in engines
            },
            "parity": [
                {
                    "titles": [engine.title, REFERENCE.title],
                    "table": results.parity_table(name, engine.name),
                    "figure": results.parity_figure(name, engine.name),
                }
                for engine in compared(engines)
            ],
            "confusion": results.confusion_figure(name),
            "map": _map(study, name, results),
            "metrics": results.metrics(name),
            "reliability": results.reliability_figure(name),
            "figures": [
                {
                    "image": image,
                    "paths": [
                        results.figure(name, image, drawing.file)
                        for drawing in study.drawings_of(name, image)
                    ],
                }
                for image in study.chosen
            ],
            "captions": {
                drawing.file: drawing.caption
                for drawing in drawings(spec, study.layers[name], bool(study.explained))
            },
            "no_gradcam": bool(study.explained) and not last_convolution(spec),
            "activations": {
                "table": results.activations_table(name),
                "figure": results.activations_figure(name),
            },
        }
        for name, spec in study.classifiers.items()
    ]


def explored_classifiers(
    study: Study, engines: Sequence[Engine], results: Results = HERE
) -> list[dict[str, Any]]:
    """What the explorer shows of each classifier: texts, and the paths of its predictions of all images."""
    return [
        {
            "name": name,
            "description": spec.about,
            "input": spec.input.to_dict(),
            "predictions": {
                engine.name: [results.predictions(name, engine.name, batch) for batch in study.image_batches]
                for engine in engines
            },
            "truth": results.truth(name),
            "alike": {
                kind: path
                for kind, path in _map(study, name, results).items()
                if kind in ("duplicates", "nearest")
            },
            "drawings": [
                {
                    "file": drawing.file,
                    "title": drawing.title,
                    "caption": drawing.caption,
                    "explains": drawing.explains,
                }
                for drawing in drawings(spec, study.layers[name], bool(study.explained))
            ],
        }
        for name, spec in study.classifiers.items()
    ]


def _map(study: Study, classifier: str, results: Results) -> dict[str, str]:
    """The files of a classifier's map; none in a study without."""
    if not study.config["map"]:
        return {}
    files = {"figure": results.map_figure(classifier), "places": results.map_table(classifier)}
    if study.prompts_of:
        files["duplicates"] = results.duplicates_table(classifier)
        if study.own_images:
            files["nearest"] = results.nearest_table(classifier)
    return files


def variants_section(study: Study, results: Results = HERE) -> dict[str, Any]:
    """What the report shows of the variants, the paths of its files; nothing in a study without."""
    if not study.has_variants:
        return {}
    return {
        "answers": {classifier: results.variants_table(classifier) for classifier in study.classifiers},
        "costs": results.costs_table,
        "axes": [results.axis_figure(axis.key) for axis in study.grid.axes if axis.numbers],
        "sheets": {prompt.name: results.sheet(prompt.name) for prompt in study.prompts},
    }


def files_of_variants(section: Mapping[str, Any]) -> list[str]:
    """Every file that the section of the variants names."""
    if not section:
        return []
    return [*section["answers"].values(), section["costs"], *section["axes"], *section["sheets"].values()]


COMPARISON = ("differences.tsv", "images.tsv", "labels.tsv", "metrics.tsv", "images.png")


def comparison_sections(study: Study, results: Results = HERE) -> dict[str, dict[str, str]]:
    """What the report shows of each study that this one is held beside: the paths of its files, by their names."""
    return {other: {file: results.comparison(other, file) for file in COMPARISON} for other in study.compared}


def files_of(sections: Sequence[Mapping[str, Any]]) -> list[str]:
    """Every file that the sections of the classifiers name."""
    files = []
    for section in sections:
        files += [section["architecture"], section["confusion"], *section["predictions"].values()]
        files += section["map"].values()
        files += [section["metrics"], section["reliability"]]
        files += section["activations"].values()
        files += [part[key] for part in section["parity"] for key in ("table", "figure")]
        files += [path for batches in section["batches"].values() for path in batches]
        files += [path for figure in section["figures"] for path in figure["paths"]]
    return files


def benchmarks(study: Study, engines: Sequence[Engine], results: Results = HERE) -> dict[str, list[str]]:
    """The benchmark files that the jobs of a study write, by the title of their stage."""
    return {
        stage.title: [results.benchmark(job) for job in stage.jobs(study, engines)]
        for stage in STAGES.values()
    }

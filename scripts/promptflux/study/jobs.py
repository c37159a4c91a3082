"""The jobs of a study: what each is asked, and which files of the user's it reads."""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from promptflux.classifiers.activity import counted_layers
from promptflux.files.digests import Digests
from promptflux.files.whole import sha256_of_text
from promptflux.generation.prompts import Prompt
from promptflux.study.engines import REFERENCE, Engine
from promptflux.study.exports import EXPORTS
from promptflux.study.stages import compared
from promptflux.study.study import Study
from promptflux.study.variants import column_of, laid_over, title_of


@dataclass(frozen=True)
class Job:
    """A job.

    name: in logs, benchmarks and requests. asked: the arguments of its script that are no files,
    and the digest of its code. reads: the user's files whose content its results follow.
    """

    name: str
    asked: Mapping[str, Any]
    reads: Sequence[str] = ()

    def request(self, digests: Digests) -> dict[str, Any]:
        """All that the job's results are a function of, beside the files of other jobs, as JSON knows it."""
        return {"asked": dict(self.asked), "reads": {path: digests.of(path) for path in self.reads}}


def jobs_of(
    study: Study,
    engines: Sequence[Engine],
    code: Callable[[str], str],
    gallery: Sequence[Mapping[str, Any]],
    engine_note: str,
    edited: Mapping[str, Sequence[str]],
) -> dict[str, Job]:
    """Every job of a study, by its name.

    code: a rule -> the digest of its code. gallery: the rows of the gallery. engine_note: a
    sentence on the engines. edited: batch -> the files of its generated images that somebody
    has changed since.
    """
    style = {key: study.config["figures"][key] for key in ("colormap", "dpi")}
    found = [
        *_images(study, code, edited),
        *_classifiers(study, engines, code, style),
        *_figures(study, engines, code, gallery, style),
        Job("record", {"code": code("record"), "config": study.config, "rows": _digest(study.prompts)}),
        Job(
            "verify",
            {"code": code("verify"), "reference": str(study.reference) if study.reference else None},
            study.reference_files,
        ),
        *_comparisons(study, code, style),
        Job(
            "explorer",
            {
                "code": code("explorer"),
                "engines": {engine.name: engine.title for engine in engines},
            },
        ),
        Job(
            "report",
            {
                "code": code("report"),
                "engines": {engine.name: engine.title for engine in engines},
                "engine_note": engine_note,
                "style": style,
            },
        ),
    ]
    return {job.name: job for job in found}


def _images(study: Study, code: Callable[[str], str], edited: Mapping[str, Sequence[str]]) -> Iterator[Job]:
    """The jobs that make images and their tensors, and what goes before."""
    for name, wanted in study.of_the_hub.items():
        # Without its code: what a repository has at a revision is the same, whoever fetches it.
        yield Job(f"fetch_model/{name}", {"wanted": wanted})
    for batch in study.prompts_of:
        generator = study.generator_of(batch)
        asked = {
            "code": code("generate"),
            "names": study.image_batches[batch],
            "request": study.request_digest(batch),
            "settings": generator.settings(),
            "on_bad_image": study.config["on_bad_image"],
        }
        yield Job(f"generate/{batch}", asked, generator.files())
    for batch, names in study.image_batches.items():
        reads = [str(study.own_images[name].path) for name in names if name in study.own_images]
        for input_name, spec in study.inputs.items():
            asked = {
                "code": code("preprocess"),
                "names": names,
                "input_spec": spec.to_dict(),
                "on_bad_image": study.config["on_bad_image"],
            }
            yield Job(f"preprocess/{input_name}/{batch}", asked, [*reads, *edited.get(batch, ())])


def _classifiers(
    study: Study, engines: Sequence[Engine], code: Callable[[str], str], style: Mapping[str, Any]
) -> Iterator[Job]:
    """The jobs that run the classifiers, and say why they say what they say."""
    inference = study.config["inference"]
    for name, spec in study.classifiers.items():
        weights = [str(spec.weights_path)] if spec.weights_path else []
        yield Job(
            f"import_weights/{name}", {"code": code("import_weights")}, [*map(str, spec.files), *weights]
        )
        yield Job(f"export_bson/{name}", {"code": code("export_bson")})
        for export in EXPORTS.values():
            if not export.is_model:
                yield Job(f"export/{name}/{export.name}", {"code": code("export")})
        for engine in engines:
            for batch in study.image_batches:
                asked = {
                    "script": engine.script,
                    "code": code(engine.stage),
                    "layers_of": study.chosen_in(batch),
                    "layers": study.layers[name],
                    "counted": counted_layers(spec) if engine == engines[0] else [],
                    "micro_batch": inference["micro_batch"],
                    "kernels": inference["flux_kernels"] if engine.name == "flux" else "plain",
                }
                yield Job(f"{engine.stage}/{name}/{batch}", asked)
                if explained := study.explained_in(batch):
                    window = study.windows[name]
                    asked = {
                        "script": engine.explains,
                        "code": code(engine.explain),
                        "images": explained,
                        "asked_labels": study.asked_labels(name, explained),
                        "patch": list(window.patch),
                        "stride": list(window.stride),
                        "micro_batch": inference["micro_batch"],
                        "kernels": inference["flux_kernels"] if engine.name == "flux" else "plain",
                    }
                    yield Job(f"{engine.explain}/{name}/{batch}", asked)
            yield Job(f"predictions/{name}/{engine.name}", {"code": code("predictions")})
        for batch in study.image_batches if study.config["map"] else ():
            asked = {"code": code("features"), "micro_batch": inference["micro_batch"]}
            yield Job(f"features/{name}/{batch}", asked)
        yield Job(f"activations/{name}", {"code": code("activations"), "style": style})


def _figures(
    study: Study,
    engines: Sequence[Engine],
    code: Callable[[str], str],
    gallery: Sequence[Mapping[str, Any]],
    style: Mapping[str, Any],
) -> Iterator[Job]:
    """The jobs that draw."""
    for name, spec in study.classifiers.items():
        for engine in compared(engines):
            asked = {"code": code("parity"), "titles": [engine.title, REFERENCE.title], "style": style}
            yield Job(f"parity/{name}/{engine.name}", asked)
        for batch in study.image_batches:
            if chosen := study.chosen_in(batch):
                asked = {
                    "code": code("figures"),
                    "images": chosen,
                    "explained": study.explained_in(batch),
                    "layers": study.layers[name],
                    "style": style,
                }
                yield Job(f"figures/{name}/{batch}", asked)
        told = sorted(study.prompts, key=lambda prompt: prompt.name)
        asked = {
            "code": code("confusion"),
            "labels": list(spec.labels),
            "image_labels": study.images_of_label,
            "style": style,
            "rows": _digest(told),
        }
        yield Job(f"confusion/{name}", asked)
        if wanted := study.config["map"]:
            asked = {
                "code": code("map"),
                "method": wanted["method"],
                "distance": wanted["distance"],
                "pixels": wanted["pixels"],
                "neighbors": wanted["nearest"],
                "style": style,
            }
            yield Job(f"map/{name}", asked)
    asked = {
        "code": code("metrics"),
        "classifiers": {name: list(spec.labels) for name, spec in study.classifiers.items()},
        "engines": [engine.name for engine in engines],
        "variants": list(study.grid.variants) if study.has_variants else [],
        "style": style,
    }
    yield Job("metrics", asked)
    if study.has_variants:
        yield from _variants(study, code, style)
    shown = [image for row in gallery for image in row["images"] if image in study.own_images]
    yield Job(
        "gallery",
        {
            "code": code("gallery"),
            "rows": list(gallery),
            "total": len(study.prompts) + bool(study.own_images),
            "style": style,
            **({"note": f"under each its {study.grid.label_of_axes}"} if study.has_variants else {}),
        },
        [str(study.own_images[image].path) for image in shown],
    )


def _variants(study: Study, code: Callable[[str], str], style: Mapping[str, Any]) -> Iterator[Job]:
    """The jobs that put the variants beside each other."""
    grid, base = study.grid, study.config["generator"]
    differing = {key for variant in grid.variants.values() for key in variant.settings}
    axes = [
        {"title": axis.title, "values": [value.title for value in axis.values], "numbers": axis.numbers}
        for axis in grid.axes
    ]
    for batch, prompts in study.prompt_batches.items():
        asked = {
            "code": code("sheets"),
            "rows": [{"name": prompt.name, "text": prompt.prompt} for prompt in prompts],
            "axes": axes,
            "variants": list(grid.variants),
            "style": style,
        }
        yield Job(f"sheets/{batch}", asked)
    asked = {
        "code": code("variants"),
        "classifiers": {name: list(spec.labels) for name, spec in study.classifiers.items()},
        "variants": [
            {
                "name": name,
                "settings": {
                    column_of(key): title_of(value)
                    for key, value in laid_over(base, variant).items()
                    if key in differing
                },
                "place": list(variant.place),
            }
            for name, variant in grid.variants.items()
        ],
        "axes": axes,
        "style": style,
    }
    yield Job("variants", asked)


def _comparisons(study: Study, code: Callable[[str], str], style: Mapping[str, Any]) -> Iterator[Job]:
    """The jobs that hold the study beside others."""
    for name, other in study.compared.items():
        asked = {
            "code": code("compare"),
            "folder": str(other.folder),
            "style": style,
            "rows": _digest(study.prompts),
        }
        yield Job(f"compare/{name}", asked, study.compared_files[name])


def _digest(prompts: Iterable[Prompt]) -> str:
    """A digest of rows of the prompts table."""
    rows = [dataclasses.asdict(prompt) for prompt in prompts]
    return sha256_of_text(json.dumps(rows, ensure_ascii=False))[:16]

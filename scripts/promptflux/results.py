"""Which files of `results/` hold what, for the rules that gather them.

`root` is what stands before `results/` where the results are not in the working folder: in a
copy of an object storage, or where a module statement has a prefix.
"""

from collections.abc import Sequence
from itertools import islice

from promptflux.limits import MOST_GALLERY_IMAGES, MOST_GALLERY_ROWS
from promptflux.spec import Spec
from promptflux.study import Study


def figures_of(spec: Spec, image: str, root: str = "") -> list[str]:
    """The figures of one image as one classifier sees it, in the order of the report."""
    convolutions = sum(layer.kind == "conv" for layer in spec.layers)
    names = [
        "loaded_image_verification",
        "input_image_visualizations",
        *(f"conv_layer_{i}_feature_maps" for i in range(1, convolutions + 1)),
        "model_output",
    ]
    return [f"{root}results/figures/{spec.name}/{image}/{name}.png" for name in names]


def gallery(study: Study) -> list[dict]:
    """The gallery's rows: the first prompts, and the user's own images as one.

    A row: `name`, the names of its first `images`, a caption for each in `captions`, and the `count` of all.
    """

    def row(name: str, images: list[str], caption: str | None) -> dict:
        shown = images[:MOST_GALLERY_IMAGES]
        return {
            "name": name,
            "images": shown,
            "captions": [caption or image for image in shown],
            "count": len(images),
        }

    rows = [
        row(prompt.name, study.images_of(prompt), prompt.prompt)
        for prompt in islice(study.prompts, MOST_GALLERY_ROWS)
    ]
    if study.own_images:
        rows.append(row("Your own images", list(study.own_images), None))
    return rows[:MOST_GALLERY_ROWS]


def classifier_sections(study: Study, engines: Sequence[str], root: str = "") -> list[dict]:
    """What the report shows of each classifier: texts, and the paths of its files."""
    architecture = "architecture" if "flux" in engines else "architecture_torch"
    both = len(engines) == 2
    first = list(islice(study.image_batches, 1))  # one tells which versions ran
    return [
        {
            "name": name,
            "description": spec.description,
            "input": spec.input.to_dict(),
            "architecture": f"{root}results/models/{name}_{architecture}.txt",
            "predictions": {engine: f"{root}results/predictions/{name}/{engine}.tsv" for engine in engines},
            "batches": {
                engine: [f"{root}results/predictions/{name}/{engine}/{batch}.h5" for batch in first]
                for engine in engines
            },
            "parity": f"{root}results/parity/{name}.tsv" if both else None,
            "parity_figure": f"{root}results/parity/{name}.png" if both else None,
            "confusion": f"{root}results/figures/{name}/confusion.png",
            "figures": [{"image": image, "paths": figures_of(spec, image, root)} for image in study.chosen],
        }
        for name, spec in study.classifiers.items()
    ]


def files_of(sections: Sequence[dict]) -> list[str]:
    """Every file that the sections of the classifiers name."""
    files = []
    for section in sections:
        single = (section[key] for key in ("architecture", "parity", "parity_figure", "confusion"))
        files += [*filter(None, single), *section["predictions"].values()]
        files += [path for batches in section["batches"].values() for path in batches]
        files += [path for figure in section["figures"] for path in figure["paths"]]
    return files


def benchmarks(study: Study, engines: Sequence[str], root: str = "") -> dict[str, list[str]]:
    """The benchmark files that the jobs of a study write, by stage."""
    batches, classifiers = list(study.image_batches), list(study.classifiers)
    jobs = {
        "generate": [f"generate/{batch}" for batch in study.prompts_of],
        "preprocess": [f"preprocess/{name}/{batch}" for name in study.inputs for batch in batches],
    }
    jobs["models"] = [f"import_weights/{name}" for name in classifiers]
    if "flux" in engines:
        jobs["models"] += [f"export_bson/{name}" for name in classifiers]
    for engine in engines:
        jobs[f"infer_{engine}"] = [
            f"infer_{engine}/{name}/{batch}" for name in classifiers for batch in batches
        ]
    drawn = [f"figures/{name}_{batch}" for name in classifiers for batch in batches if study.chosen_in(batch)]
    if len(engines) == 2:
        jobs["parity"] = [f"parity/{name}" for name in classifiers]
    jobs["figures"] = ["gallery", *drawn]
    return {stage: [f"{root}results/benchmarks/{job}.tsv" for job in names] for stage, names in jobs.items()}

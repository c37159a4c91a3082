"""Which files of `results/` hold what, for the rules that gather them."""

from collections.abc import Sequence

from promptflux.spec import Spec
from promptflux.study import Study


def figures_of(spec: Spec, image: str) -> list[str]:
    """The figures of one image as one classifier sees it, in the order of the report."""
    convolutions = sum(layer.kind == "conv" for layer in spec.layers)
    names = [
        "loaded_image_verification",
        "input_image_visualizations",
        *(f"conv_layer_{i}_feature_maps" for i in range(1, convolutions + 1)),
        "model_output",
    ]
    return [f"results/figures/{spec.name}/{image}/{name}.png" for name in names]


def gallery(study: Study) -> list[tuple[str, str, str]]:
    """What hangs in the gallery: of each image its file, its caption and the row it hangs in."""
    generated = study.prompt_of_image.items()
    return [(study.source(image), prompt.prompt, prompt.name) for image, prompt in generated] + [
        (str(image.path), image.name, "Your own images") for image in study.own_images.values()
    ]


def prompt_sections(study: Study) -> list[dict]:
    """What the report shows of each prompt."""
    return [
        {
            "name": prompt.name,
            "prompt": prompt.prompt,
            "negative_prompt": prompt.negative_prompt,
            "seed": study.generator.seed if prompt.seed is None else prompt.seed,
            "images": [study.source(image) for image in study.images_of(prompt)],
        }
        for prompt in study.prompts
    ]


def classifier_sections(study: Study, engines: Sequence[str]) -> list[dict]:
    """What the report shows of each classifier: texts, and the paths of its files."""
    architecture = "architecture" if "flux" in engines else "architecture_torch"
    both = len(engines) == 2
    return [
        {
            "name": name,
            "description": spec.description,
            "input": spec.input.to_dict(),
            "architecture": f"results/models/{name}_{architecture}.txt",
            "predictions": {engine: f"results/predictions/{name}/{engine}.tsv" for engine in engines},
            "batches": {
                engine: [f"results/predictions/{name}/{engine}/{batch}.h5" for batch in study.image_batches]
                for engine in engines
            },
            "parity": f"results/parity/{name}.tsv" if both else None,
            "parity_figure": f"results/parity/{name}.png" if both else None,
            "confusion": f"results/figures/{name}/confusion.png",
            "figures": [{"image": image, "paths": figures_of(spec, image)} for image in study.chosen],
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


def benchmarks(study: Study, engines: Sequence[str]) -> dict[str, list[str]]:
    """The benchmark files that the jobs of a study write, by stage."""
    batches, classifiers = list(study.image_batches), list(study.classifiers)
    jobs = {
        "generate": [f"generate/{batch}" for batch in study.prompts_of],
        "preprocess": [f"preprocess/{name}/{batch}" for name in study.inputs for batch in batches],
    }
    for engine in engines:
        jobs[f"infer_{engine}"] = [
            f"infer_{engine}/{name}/{batch}" for name in classifiers for batch in batches
        ]
    drawn = [f"figures/{name}_{batch}" for name in classifiers for batch in batches if study.chosen_in(batch)]
    jobs["figures"] = ["gallery", *drawn]
    return {stage: [f"results/benchmarks/{job}.tsv" for job in names] for stage, names in jobs.items()}

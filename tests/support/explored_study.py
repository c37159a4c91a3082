"""The files of a finished study of any size that the explorer reads, with answers that are known."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from promptflux.files.predictions import write_predictions
from promptflux.files.tensors import write_tensors
from promptflux.generation.parameters import parameters_text
from promptflux.generation.prompts import Prompt, image_seed, images_of_variants, parts_of_image
from promptflux.images.inputs import InputSpec
from promptflux.images.provenance import write_png
from promptflux.metrics.truth import Truth, own_labels, write_truth
from promptflux.paths import Results
from promptflux.study.variants import read_grid

LABELS = ["forest", "city", 'a "desert" <b>🌵</b>']
VARIANTS = {"weak": {"guidance_scale": 1.5}, "strong": {"guidance_scale": 7}}
GENERATOR = {"model": "models/scenes", "guidance_scale": 3.0, "steps": 20, "seed": 5, "images_per_prompt": 2}
INPUT = InputSpec.from_config("gray28")


def make(
    folder: Path,
    prompts: Sequence[Prompt],
    *,
    variants: Mapping[str, Mapping] | None = None,
    own: Mapping[str, str] | None = None,
    classifiers: Sequence[str] = ("small",),
    engines: Sequence[str] = ("flux", "torch"),
    labels: Sequence[str] = LABELS,
    each: int = 2,
    marks: Mapping[str, Mapping] | None = None,
    problems: Mapping[str, str] | None = None,
    differing: Sequence[str] = (),
    pictures: bool = True,
) -> dict:
    """Write the results of a study below `folder`; return the arguments of `write_explorer`.

    own: name -> the label of a user's own image, "" if none is known. marks: image -> what its PNG says was wrong with it.
    problems: image -> why a test pattern stands in. differing: images that the first engine sees otherwise. The label that is
    seen of image number i is i modulo their count. pictures: whether there are image files at all.
    """
    results = Results(f"{folder}/")
    config = {"generator": {**GENERATOR, "images_per_prompt": each}, "variants": variants, "axes": None}
    grid = read_grid(config)
    generated = [name for prompt in prompts for name in images_of_variants(prompt, each, grid.variants)]
    names = [*generated, *(own or {})]
    texts = {prompt.name: prompt for prompt in prompts}
    for place, name in enumerate(generated if pictures else ()):
        variant, prompt_name, k = parts_of_image(name)
        prompt = texts[prompt_name]
        seed = image_seed(5 if prompt.seed is None else prompt.seed, prompt_name, k)
        settings = {
            key: it for key, it in GENERATOR.items() if key not in ("seed", "images_per_prompt", "model")
        }
        recipe = {
            "prompt": prompt.prompt,
            **({"negative_prompt": prompt.negative_prompt} if prompt.negative_prompt else {}),
            "seed": seed,
            "model": "sha256:0123456789abcdef",
            **settings,
            **grid.variants[variant].settings,
        }
        made_with = {
            "model": "scenes",
            "scheduler": "DDIMScheduler",
            "width": 48,
            "height": 32,
            "promptflux": "0.2.0",
        }
        made_with |= (marks or {}).get(name, {})
        picture = Image.new("RGB", (48, 32), ((41 * place) % 256, (97 * place) % 256, 120))
        _save(
            results.image(name),
            picture,
            {"recipe": recipe, "made_with": made_with},
            parameters_text(recipe, made_with, {}),
        )
    for place, name in enumerate(names if pictures else ()):
        path = Path(results.preprocessed(INPUT.name, name))
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (28, 28), 9 * place % 256).save(path)
    tensors = results.tensors(INPUT.name, "all")
    with write_tensors(tensors, INPUT, names) as writer:
        for name in names:
            writer.add(
                np.zeros(INPUT.shape, np.float32), "0" * 64, (32, 48), "RGB", (problems or {}).get(name, "")
            )
    return {
        "title": "A study",
        "asked": {"config": config, "prompts": [vars(prompt) for prompt in prompts]},
        "own": {name: str(folder / "photos" / f"{name}.png") for name in own or {}},
        "drawn": [],
        "classifiers": [
            _classifier(results, name, number, names, prompts, own or {}, engines, labels, differing)
            for number, name in enumerate(classifiers)
        ],
        "engines": {engine: {"flux": "Flux", "torch": "PyTorch"}[engine] for engine in engines},
        "tensors": [tensors] if classifiers else [],
        "output": results.explorer,
    }


def _save(path: str, *content) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_png(Path(path), *content)


def _classifier(
    results: Results,
    name: str,
    number: int,
    names: Sequence[str],
    prompts: Sequence[Prompt],
    own: Mapping[str, str],
    engines: Sequence[str],
    labels: Sequence[str],
    differing: Sequence[str],
) -> dict:
    rng = np.random.default_rng(number)
    logits = rng.normal(0, 0.5, (len(names), len(labels))).astype(np.float32)
    logits[np.arange(len(names)), (np.arange(len(names)) + number) % len(labels)] += 3
    files = {}
    for place, engine in enumerate(engines):
        answers = logits.copy()
        if place == 0 and len(engines) > 1:
            rows = [names.index(image) for image in differing]
            answers[rows] = np.roll(answers[rows], 1, axis=1)
        probabilities = np.exp(answers) / np.exp(answers).sum(axis=1, keepdims=True)
        path = results.predictions(name, engine, "all")
        content = {"names": names, "labels": labels, "layer_shapes": {}, "layer_images": [], "kept": {}}
        with write_predictions(path, attributes={}, **content) as writer:
            writer.logits[:], writer.probabilities[:] = answers, probabilities
        files[engine] = [path]
    groups = {label: [image for image in own if own[image] == label] for label in own.values() if label}
    known = Truth(labels, prompts, own_labels(groups))
    truth = {image: known.of(image, "" if image in own else parts_of_image(image)[1]) for image in names}
    write_truth(results.truth(name), truth)
    return {
        "name": name,
        "description": "",
        "input": INPUT.to_dict(),
        "predictions": files,
        "truth": results.truth(name),
        "alike": {},
        "drawings": [],
    }

"""A small study with real files of every kind, for the tests of the figures and the report."""

import json
from collections.abc import Sequence
from pathlib import Path

import activations
import confusion
import explain_torch
import explorer
import figures
import gallery
import import_weights
import infer_torch
import matplotlib.cbook
import metrics
import numpy as np
import predictions
import preprocess
from PIL import Image

from promptflux.classifiers.activity import counted_layers
from promptflux.classifiers.kept import asked_layers
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.classifiers.why import window_of
from promptflux.figures.catalog import drawings
from promptflux.generation.prompts import Prompt
from promptflux.images.provenance import write_png
from promptflux.paths import Results
from support.specs import write_spec

HOSTILE = {
    "plain": "A vibrant forest landscape with colorful trees and a bright sky",
    "money": "It costs $5, $x^2$ or $\\frac{1}{2}$ 'quoted' \"twice\" {{ 7 * 7 }} {% raw %} & more",
    "emoji": "🌲🌲 a forest 👨‍👩‍👧‍👦 with a family 🇩🇪",
    "arabic": "غابة سحرية بأشجار متوهجة",
    "script": "<script>alert('x')</script><img src=x onerror=alert(1)></td></style>",
    "long": "city " * 1000,
    "endless": "x" * 5000,
    "reversed": "a word \u202e reversed \u202c and back",
    "japanese": "森の中の魔法の木々",
}
LABELS = ["forest", "city", "a $x^2$ <b>desert</b> 🌵"]
BROKEN = "broken.png"  # the file of an image that cannot be read
CLASSIFIER = "small"
STYLE = {"colormap": "viridis", "dpi": 40}


def photograph() -> Image.Image:
    """A real photograph, 512×600 RGB, which comes with matplotlib."""
    return Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")


def generated(results: Results, texts: dict[str, str], count: int = 2) -> list[Prompt]:
    """Cuts of the photograph as the first `count` images of prompts (name -> text), with a provenance."""
    photo = photograph()
    for number, (name, text) in enumerate(texts.items()):
        for k in range(1, count + 1):
            left, top = 31 * number % 300, 97 * k % 300
            recipe = {
                "prompt": text,
                "negative_prompt": "",
                "seed": 1000 * number + k,
                "model": "sha256:0",
                "steps": 20,
            }
            made_with = {"model": "scenes", "scheduler": "DDIMScheduler", "width": 64, "height": 64}
            picture = photo.resize((64, 64), box=(left, top, left + 200, top + 200))
            path = Path(results.image(f"{name}_{k}"))
            path.parent.mkdir(parents=True, exist_ok=True)
            write_png(path, picture, {"recipe": recipe, "made_with": made_with})
    return [Prompt(name, text, negative_prompt=text[:20]) for name, text in texts.items()]


def classify(folder: Path, images: dict[str, str], drawn: list[str], **changes) -> Results:
    """Preprocess `images` (name -> path) and run a small untrained network on them, as a study would.

    drawn: the images whose layers are kept. changes: of the spec, see `specs.SMALL`. Returns the
    results below `folder`; the batch is called `own`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    results = Results(f"{folder}/")
    spec = load_spec(write_spec(folder, CLASSIFIER, **{"labels": LABELS, **changes}))
    preprocess.main(
        own=list(images.values()),
        names=list(images),
        input_spec=spec.input.to_dict(),
        on_bad_image="test_pattern",
        tensors=results.tensors(spec.input.name, "own"),
        threads=1,
    )
    import_weights.main(
        spec=str(spec.path),
        model=results.model(CLASSIFIER, ".h5"),
        architecture=results.model(CLASSIFIER, "_architecture_torch.txt"),
    )
    infer_torch.main(
        tensors=results.tensors(spec.input.name, "own"),
        model=results.model(CLASSIFIER, ".h5"),
        layers_of=drawn,
        predictions=results.predictions(CLASSIFIER, "torch", "own"),
        counted=counted_layers(spec),
        activations=results.activations(CLASSIFIER, "torch", "own"),
        micro_batch=16,
        threads=1,
        device="cpu",
    )
    return results


def spec_of(results: Results) -> Spec:
    """The spec of what `classify` made."""
    return load_spec(Path(results.root, f"{CLASSIFIER}.yaml"))


def layers_of(results: Results) -> list[str]:
    """The layers of the classifier, all of which are kept."""
    return asked_layers(spec_of(results), "all")


def files_of_figures(results: Results) -> dict:
    """What `figures.main` reads of what `classify` made, and the layers that it draws."""
    return {
        "tensors": results.tensors(spec_of(results).input.name, "own"),
        "predictions": results.predictions(CLASSIFIER, "torch", "own"),
        "model": results.model(CLASSIFIER, ".h5"),
        "layers": layers_of(results),
    }


def explain(results: Results, images: list[str], asked: list[int]) -> None:
    """Say why the network of `classify` says what it says of images; asked: of each the place of the label that is asked for."""
    window = window_of(spec_of(results), "auto", "auto")
    explain_torch.main(
        tensors=results.tensors(spec_of(results).input.name, "own"),
        model=results.model(CLASSIFIER, ".h5"),
        images=images,
        asked_labels=asked,
        explanations=results.explanations(CLASSIFIER, "torch", "own"),
        patch=window.patch,
        stride=window.stride,
        micro_batch=16,
        threads=1,
        device="cpu",
    )


def figures_of(results: Results, image: str, explained: bool = False) -> list[str]:
    """The figures of one image, in the order of the report."""
    names = [drawing.file for drawing in drawings(spec_of(results), layers_of(results), explained)]
    return [results.figure(CLASSIFIER, image, name) for name in names]


def draw_figures(
    results: Results, images: list[str], *, threads: int = 1, explained: Sequence[str] = (), **style
) -> None:
    """Draw the figures of images that `classify` kept the layers of; explained: those of `explain`; style: what differs from STYLE."""
    figures.main(
        **files_of_figures(results),
        images=images,
        explained=explained,
        explanations=results.explanations(CLASSIFIER, "torch", "own") if explained else None,
        figures=[path for image in images for path in figures_of(results, image, image in explained)],
        threads=threads,
        style=STYLE | style,
    )


def draw(folder: Path, texts: dict[str, str], *, count: int = 2, images_drawn: int = 2) -> dict:
    """Make every file of a study with the prompts `texts`, an own photograph and a broken own file.

    Returns the arguments of `report.main`, but for its outputs. The broken image is among the drawn.
    """
    results = Results(f"{folder}/")
    prompts = generated(results, texts, count)
    names = [f"{prompt.name}_{k}" for prompt in prompts for k in range(1, count + 1)]
    photograph().save(folder / "photo.jpg")
    (folder / BROKEN).write_text("<html>not found</html>")
    own = {"photo": str(folder / "photo.jpg"), "broken": str(folder / BROKEN)}
    sources = {name: results.image(name) for name in names} | own
    drawn = ["broken", "photo", *names][:images_drawn]
    classify(folder, sources, drawn)
    draw_figures(results, drawn)

    # One batch has images of either kind here, so the table cannot be told which are generated.
    table = Path(results.predictions_table(CLASSIFIER, "torch"))
    predictions.main(generated=[], own=[results.predictions(CLASSIFIER, "torch", "own")], table=str(table))
    lines = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
    for cells in lines[1:]:
        cells[1] = cells[0].rpartition("_")[0] if cells[0] in names else ""
    table.write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    listed = folder / "prompts.tsv"
    rows = [("name", "prompt"), *((prompt.name, " ".join(prompt.prompt.split())) for prompt in prompts)]
    listed.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")
    confusion.main(
        predictions=str(table),
        prompts=[str(listed)],
        tensors=[results.tensors(spec_of(results).input.name, "own")],
        labels=LABELS,
        image_labels={},
        classifier=CLASSIFIER,
        truth=results.truth(CLASSIFIER),
        table=results.confusion_table(CLASSIFIER),
        figure=results.confusion_figure(CLASSIFIER),
        style=STYLE,
    )
    metrics.main(
        generated=[],
        own=[results.predictions(CLASSIFIER, "torch", "own")],
        truth=[results.truth(CLASSIFIER)],
        classifiers={CLASSIFIER: LABELS},
        engines=["torch"],
        variants=[],
        tables=[results.metrics(CLASSIFIER)],
        figures=[results.reliability_figure(CLASSIFIER)],
        style=STYLE,
    )
    activations.main(
        classifier=CLASSIFIER,
        model=results.model(CLASSIFIER, ".h5"),
        batches=[results.activations(CLASSIFIER, "torch", "own")],
        table=results.activations_table(CLASSIFIER),
        figure=results.activations_figure(CLASSIFIER),
        style=STYLE,
    )
    groups = [
        {
            "name": prompt.name,
            "images": [f"{prompt.name}_{k}" for k in range(1, count + 1)],
            "captions": [prompt.prompt] * count,
            "count": count,
        }
        for prompt in prompts
    ]
    groups.append({"name": "own", "images": list(own), "captions": list(own), "count": len(own)})
    gallery.main(rows=groups[:24], sources=sources, total=len(groups), figure=results.gallery, style=STYLE)

    config = {
        "prompts": "prompts.tsv",
        "images": 'a "$(folder)" <i>🌆</i>',
        "generator": {"steps": 20, "seed": 0, "images_per_prompt": count},
    }
    asked = {"config": config, "prompts": [vars(prompt) for prompt in prompts]}
    Path(results.study).write_text(json.dumps(asked), encoding="utf-8")
    spec = spec_of(results)
    files = {"torch": [results.predictions(CLASSIFIER, "torch", "own")]}
    explorer.main(
        study=results.study,
        own=own,
        drawn=drawn,
        classifiers=[
            {
                "name": CLASSIFIER,
                "description": "",
                "input": spec.input.to_dict(),
                "predictions": files,
                "truth": results.truth(CLASSIFIER),
                "alike": {},
                "drawings": [],
            }
        ],
        engines={"torch": "PyTorch"},
        tensors=[results.tensors(spec.input.name, "own")],
        explorer=results.explorer,
    )
    return {
        "study": results.study,
        "explorer": results.explorer,
        "engines": {"torch": "PyTorch"},
        "engine_note": "The classifiers run in PyTorch alone: Julia was not found.",
        "gallery": results.gallery,
        "classifiers": [
            {
                "name": CLASSIFIER,
                "description": "A <small> network & no more.",
                "input": spec.input.to_dict(),
                "architecture": results.model(CLASSIFIER, "_architecture_torch.txt"),
                "predictions": {"torch": str(table)},
                "batches": {"torch": [results.predictions(CLASSIFIER, "torch", "own")]},
                "parity": [],
                "activations": {
                    "table": results.activations_table(CLASSIFIER),
                    "figure": results.activations_figure(CLASSIFIER),
                },
                "confusion": results.confusion_figure(CLASSIFIER),
                "metrics": results.metrics(CLASSIFIER),
                "reliability": results.reliability_figure(CLASSIFIER),
                "figures": [{"image": name, "paths": figures_of(results, name)} for name in drawn],
                "captions": {drawing.file: drawing.caption for drawing in drawings(spec, layers_of(results))},
            }
        ],
        "tensors": [results.tensors(spec.input.name, "own")],
        "benchmarks": {},
        "verified": None,
        "style": STYLE,
    }


def pixels(path: str | Path) -> np.ndarray:
    """The pixels of a PNG, uint8 [H, W, 3]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def has_color(path: str | Path, color: str) -> bool:
    """Whether a pixel of a PNG has exactly this color, `#rrggbb`."""
    return bool((pixels(path) == tuple(bytes.fromhex(color[1:]))).all(axis=2).any())

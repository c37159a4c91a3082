"""A small study with real files of every kind, for the tests of the figures and the report."""

from pathlib import Path

import confusion
import figures
import gallery
import infer_torch
import matplotlib.cbook
import numpy as np
import predictions
import preprocess
from PIL import Image

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import save_weights
from promptflux.images.provenance import write_png
from support.specs import write_spec

HOSTILE = {
    "plain": "A vibrant forest landscape with colorful trees and a bright sky",
    "money": "It costs $5, $x^2$ or $\\frac{1}{2}$ 'quoted' \"twice\" {{ 7 * 7 }} {% raw %} & more",
    "emoji": "🌲🌲 a forest 👨‍👩‍👧‍👦 with a family 🇩🇪",
    "arabic": "غابة سحرية بأشجار متوهجة",
    "script": "<script>alert('x')</script><img src=x onerror=alert(1)></td></style>",
    "long": "city " * 1000,
    "endless": "x" * 5000,
    "control": "a bell\x07 and\x1b[31m red \u202e reversed",
    "japanese": "森の中の魔法の木々",
}
LABELS = ["forest", "city", "a $x^2$ <b>desert</b> 🌵"]
PROBLEM = "broken.png"


def photograph() -> Image.Image:
    """A real photograph, 512×600 RGB, which comes with matplotlib."""
    return Image.open(matplotlib.cbook.get_sample_data("grace_hopper.jpg")).convert("RGB")


def generated(folder: Path, texts: dict[str, str], count: int = 2) -> list[dict]:
    """Cuts of the photograph as images of prompts, with a provenance; as the report wants its prompts."""
    photo, prompts = photograph(), []
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for number, (name, text) in enumerate(texts.items()):
        paths = []
        for k in range(1, count + 1):
            path = folder / "images" / f"{name}_{k}.png"
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
            write_png(path, picture, {"recipe": recipe, "made_with": made_with})
            paths.append(str(path))
        prompts.append(
            {"name": name, "prompt": text, "negative_prompt": text[:20], "seed": 0, "images": paths}
        )
    return prompts


def classify(folder: Path, images: dict[str, str], drawn: list[str], **changes) -> dict[str, str]:
    """Preprocess `images` (name -> path) and run a small untrained network on them.

    changes: of the spec, see `specs.SMALL`. Returns the paths of the spec, the tensors,
    the predictions file and its table.
    """
    folder.mkdir(parents=True, exist_ok=True)
    spec = load_spec(write_spec(folder, **{"labels": LABELS, **changes}))
    paths = {
        "spec": str(spec.path),
        "tensors": str(folder / "tensors.h5"),
        "weights": str(folder / "weights.h5"),
        "predictions": str(folder / "torch" / "prompts.h5"),
        "table": str(folder / "torch.tsv"),
        "architecture": str(folder / "architecture.txt"),
    }
    preprocess.main(
        images=list(images.values()),
        names=list(images),
        input_spec=spec.input.to_dict(),
        on_bad_image="test_pattern",
        tensors=paths["tensors"],
        pictures=[str(folder / "preprocessed" / f"{name}.png") for name in images],
        threads=1,
    )
    weights = untrained_weights(spec, seed=1)
    save_weights(paths["weights"], weights, spec.name)
    infer_torch.main(
        tensors=paths["tensors"],
        spec=paths["spec"],
        weights=paths["weights"],
        layers_of=drawn,
        classifier=spec.name,
        output=paths["predictions"],
        device="cpu",
    )
    predictions.main(generated=[], own=[paths["predictions"]], output=paths["table"])
    lines = [line.split("\t") for line in Path(paths["table"]).read_text(encoding="utf-8").splitlines()]
    for cells in lines[1:]:  # a study's files hold either kind, this one both
        cells[1] = cells[0].rpartition("_")[0] if cells[0][-1].isdigit() else ""
    Path(paths["table"]).write_text("".join("\t".join(line) + "\n" for line in lines), encoding="utf-8")
    Path(paths["architecture"]).write_text(str(Network(spec)), encoding="utf-8")
    return paths


def draw(
    folder: Path, texts: dict[str, str], *, count: int = 2, images_drawn: int = 2, dpi: int = 40
) -> dict:
    """Make every file of a study with the prompts `texts`, an own photograph and a broken own file.

    Returns the arguments of `report.main`, but for `output`. The broken image is among the drawn.
    """
    prompts = generated(folder, texts, count)
    images = {Path(path).stem: path for prompt in prompts for path in prompt["images"]}
    photograph().save(folder / "photo.jpg")
    (folder / PROBLEM).write_text("<html>not found</html>")
    own = {"photo": str(folder / "photo.jpg"), "broken": str(folder / PROBLEM)}
    drawn = ["broken", "photo", *images][:images_drawn]
    files = classify(folder / "small", images | own, drawn)
    style = {"dpi": dpi}

    figure_folder = folder / "figures" / "small"
    figures.main(
        tensors=files["tensors"],
        predictions=files["predictions"],
        spec=files["spec"],
        images=drawn,
        folder=str(figure_folder),
        style=style,
    )
    spec = load_spec(files["spec"])
    confusion.main(
        predictions=files["table"],
        asked={prompt["name"]: prompt["prompt"] for prompt in prompts},
        labels=spec.labels,
        classifier="small",
        table=str(figure_folder / "confusion.tsv"),
        figure=str(figure_folder / "confusion.png"),
        style=style,
    )
    gallery_path = str(folder / "figures" / "gallery.png")
    rows = [
        {"name": it["name"], "images": it["images"], "captions": [it["prompt"]] * count, "count": count}
        for it in prompts
    ]
    rows.append({"name": "own", "images": list(own.values()), "captions": list(own), "count": len(own)})
    gallery.main(
        rows=rows[:24],
        total=len(rows),
        output=gallery_path,
        style=style,
    )
    return {
        "study": {
            "config": {
                "prompts": "prompts.tsv",
                "images": 'a "$(folder)" <i>🌆</i>',
                "generator": {"steps": 20},
            },
            "engines": ["torch"],
            "engine_note": "The classifiers run in PyTorch alone: Julia was not found.",
        },
        "prompts": prompts,
        "gallery": gallery_path,
        "classifiers": [
            {
                "name": "small",
                "description": "A <small> network & no more.",
                "input": spec.input.to_dict(),
                "architecture": files["architecture"],
                "predictions": {"torch": files["table"]},
                "batches": {"torch": [files["predictions"]]},
                "parity": None,
                "parity_figure": None,
                "confusion": str(figure_folder / "confusion.png"),
                "figures": [{"image": name, "paths": figure_paths(figure_folder / name)} for name in drawn],
            }
        ],
        "tensors": [files["tensors"]],
        "benchmarks": {},
        "verified": None,
    }


def figure_paths(folder: Path) -> list[str]:
    """The figures of one image of a network with two convolutions, in the order of the report."""
    names = ["loaded_image_verification", "input_image_visualizations", "conv_layer_1_feature_maps"]
    names += ["conv_layer_2_feature_maps", "model_output"]
    return [str(folder / f"{name}.png") for name in names]


def pixels(path: str | Path) -> np.ndarray:
    """The pixels of a PNG, uint8 [H, W, 3]."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))

"""What comes out stays what it was: the default study, the examples and the drawn world, held to tests/golden/bytes.json.

On the machine and with the versions that made the golden file everything is compared by its
digest. Elsewhere a network rounds otherwise in the last bits, so there images and
probabilities are compared closely, and what no network touched exactly.

    PYTHONPATH=scripts:tests:. python tests/workflow/test_same_bytes.py     # makes the golden file anew, after a change that is meant
"""

import base64
import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from PIL import Image
from support.workflow import GOLDEN, WORKFLOW

from promptflux.generation.model_folder import digest_of_model
from promptflux.images.provenance import read_provenance, write_png
from training.world.drawing import draw

BYTES = GOLDEN / "bytes.json"
SMALL = "generator: {steps: 2, images_per_prompt: 1, micro_batch: 2}\nfigures: {images: 1, dpi: 50}\nexplain: {images: 0}\nengines: [torch]\nmap: null\n"
# Without `guidance`, whose sixteen variants take minutes; test_variants.py has smaller ones.
EXAMPLES = sorted({path.parent.name for path in WORKFLOW.glob("examples/*/config.yaml")} - {"guidance"})
STUDIES = ["default", *EXAMPLES]
DRAWINGS = 300
PIXELS_APART, PROBABILITIES_APART = 3, 0.02  # on another machine: of 255, of cells of 16 × 16 pixels; of 1


def run_small(name: str, folder: Path, *targets: str) -> None:
    """Run a study of the repository at a small size in `folder`. targets: the files to make, if not all."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "small.yaml").write_text(SMALL)
    config = WORKFLOW / ("config.yaml" if name == "default" else f"examples/{name}/config.yaml")
    command = [
        sys.executable, "-m", "snakemake", "--cores", "2", "--nocolor", "--snakefile", str(WORKFLOW / "Snakefile"),
        "--directory", str(folder), "--configfile", str(config), str(folder / "small.yaml"), "--", *targets,
    ]  # fmt: skip
    run = subprocess.run(command, capture_output=True, text=True, cwd=folder, timeout=600)
    assert run.returncode == 0 and "Traceback" not in run.stderr, run.stderr[-6000:]


def made_by(folder: Path) -> dict:
    """What a study's inputs decide, in a form that can be kept: digests, thumbnails, recipes and tables."""
    results = folder / "results"
    images = {path.stem: path for path in sorted((results / "images").glob("*.png"))}
    tensors = {}
    for path in sorted(results.glob("tensors/*/*.h5")):
        with h5py.File(path) as file:
            for row, image in enumerate(file["names"].asstr()[()]):
                tensors[f"{path.parent.name}/{image}"] = digest(file["images"][row].tobytes())
    return {
        "images": {name: {"pixels": digest(pixels(path).tobytes()), "cells": cells(path)} for name, path in images.items()},
        "recipes": {name: named(read_provenance(path)["recipe"]) for name, path in images.items()},
        "tensors": tensors,
        "preprocessed": {
            str(path.relative_to(results / "preprocessed")): digest(path.read_bytes())
            for path in sorted(results.glob("preprocessed/*/*.png"))
        },
        "tables": {
            path.parent.name: path.read_text(encoding="utf-8") for path in sorted(results.glob("predictions/*/torch.tsv"))
        },
    }  # fmt: skip


def named(recipe: dict) -> dict:
    """A recipe without what the model would do anyway."""
    return {key: value for key, value in recipe.items() if value not in (None, "", "auto")}


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:24]


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def cells(path: Path) -> str:
    """The mean colors of cells of 16 × 16 pixels, in base64."""
    image = pixels(path)
    blocks = image.reshape(image.shape[0] // 16, 16, image.shape[1] // 16, 16, 3).mean(axis=(1, 3))
    return base64.b64encode(blocks.round().astype(np.uint8).tobytes()).decode()


def drawings() -> list[list]:
    """Of each of the first drawings its digest and the mean of its pixels."""
    drawn = [np.asarray(draw(seed)[0]) for seed in range(DRAWINGS)]
    return [[digest(picture.tobytes()), round(float(picture.mean()), 2)] for picture in drawn]


def machine() -> str:
    """What decides the last bits of a network here."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text(encoding="utf-8").splitlines() if info.exists() else []
    model = next(
        (line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    return f"{model}, torch {torch.__version__}, NumPy {np.__version__}"


def golden() -> dict:
    return json.loads(BYTES.read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_of_the_repository_gives_what_it_gave(name, tmp_path):
    run_small(name, tmp_path)
    assert (tmp_path / "results/report.html").exists()
    assert list((tmp_path / "results/figures").glob("*/*/model_output.png"))
    assert_same(made_by(tmp_path), golden()["studies"][name], golden()["machine"] == machine())


def assert_same(made: dict, before: dict, on_the_same_machine: bool) -> None:
    assert made["recipes"] == before["recipes"]
    assert made["tensors"].keys() == before["tensors"].keys()
    if on_the_same_machine:
        assert made == before
        return
    own = {key for key in before["tensors"] if key.split("/")[1] not in before["images"]}
    assert {key: made["tensors"][key] for key in own} == {key: before["tensors"][key] for key in own}
    for name, image in before["images"].items():
        now, then = (
            np.frombuffer(base64.b64decode(it["cells"]), np.uint8) for it in (made["images"][name], image)
        )
        assert np.abs(now.astype(int) - then).max() <= PIXELS_APART, name
    for classifier, table in before["tables"].items():
        now, then = (numbers(text) for text in (made["tables"][classifier], table))
        assert [row[0] for row in now] == [row[0] for row in then]
        np.testing.assert_allclose(
            [row[1] for row in now], [row[1] for row in then], atol=PROBABILITIES_APART
        )


def numbers(table: str) -> list[tuple[str, list[float]]]:
    """Of each row of a table of predictions the image and the probabilities."""
    rows = [line.split("\t") for line in table.splitlines()[1:]]
    return [(row[0], list(map(float, row[4:]))) for row in rows]


def test_a_results_folder_keeps_its_images(tmp_path):
    """tests/golden/forest_1.png is an image of version 0.1.0, whose recipes named all settings; here of today's model."""
    made = read_provenance(GOLDEN / "forest_1.png")
    model = f"sha256:{digest_of_model(WORKFLOW / 'models/scenes')}"
    image = tmp_path / "results/images/forest_1.png"
    image.parent.mkdir(parents=True)
    write_png(
        image,
        Image.open(GOLDEN / image.name),
        {**made, "recipe": made["recipe"] | {"model": model}},
    )
    before = image.read_bytes()
    os.utime(image, (1.7e9, 1.7e9))
    run_small("default", tmp_path, "results/checksums/prompts.sha256")
    assert image.read_bytes() == before
    assert image.stat().st_mtime == 1.7e9
    assert len(list(image.parent.glob("*.png"))) == 3


def test_the_drawn_world_is_the_same():
    before, now = golden()["drawings"], drawings()
    if golden()["machine"] == machine():
        assert now == before
    else:
        np.testing.assert_allclose([mean for _, mean in now], [mean for _, mean in before], atol=0.5)


if __name__ == "__main__":
    studies = {}
    for study in STUDIES:
        with tempfile.TemporaryDirectory() as place:
            run_small(study, Path(place))
            studies[study] = made_by(Path(place))
    content = {"machine": machine(), "studies": studies, "drawings": drawings()}
    BYTES.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")

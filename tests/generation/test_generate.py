"""Generated images: what they are a function of, what is kept, and what they say of themselves."""

import json
import os
import shutil
from pathlib import Path

import generate
import numpy as np
import pytest
import torch
from PIL import Image
from support.models import latent_consistency
from support.workflow import WORKFLOW

from promptflux.errors import StudyError
from promptflux.files.whole import sha256_of_file
from promptflux.generation.loading import resolve
from promptflux.generation.model_folder import model_files
from promptflux.images.provenance import read_provenance
from promptflux.paths import Results
from promptflux.runtime.version import version
from promptflux.study.study import load_study


class Study:
    """A folder with a prompts table, and its images made by `generate.main`."""

    def __init__(self, folder, model):
        self.folder, self.model = folder, model

    def make(self, rows: dict[str, str], only: list[str] | None = None, **settings) -> dict[str, bytes]:
        """Generate two images a row; returns the bytes of each image by its name."""
        table = self.folder / "prompts.tsv"
        table.write_text(
            "name\tprompt\tnegative_prompt\n" + "".join(f"{name}\t{text}\n" for name, text in rows.items()),
            encoding="utf-8",
        )
        settings = {"model": str(self.model), "steps": 2, "images_per_prompt": 2, **settings}
        study = load_study(
            {"prompts": str(table), "classifiers": ["cnn28"], "generator": settings}, [self.folder, WORKFLOW]
        )
        names = only or list(study.prompt_of_image)
        results = Results(f"{self.folder}/")
        generate.main(
            prompts=str(table),
            settings=study.generators[""].settings(),
            names=names,
            checksums=results.checksums("prompts"),
        )
        return {name: Path(results.image(name)).read_bytes() for name in names}

    @property
    def images(self) -> Path:
        return self.folder / "results" / "images"


@pytest.fixture
def study(tmp_path, tiny_model):
    return Study(tmp_path, tiny_model)


ROWS = {"forest": "a forest", "city": "a city at night\tfog", "sea": "the sea"}


def pixels(path) -> np.ndarray:
    return np.asarray(Image.open(path))


def test_images_are_rgb_pngs_that_tell_their_provenance(study):
    study.make(ROWS)
    with Image.open(study.images / "city_2.png") as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32))
        provenance = json.loads(image.text["promptflux"])
    recipe, made_with = provenance["recipe"], provenance["made_with"]
    assert recipe["prompt"] == "a city at night"
    assert recipe["negative_prompt"] == "fog"
    assert (recipe["steps"], recipe["guidance_scale"], recipe["micro_batch"], recipe["threads"]) == (
        2,
        3.0,
        4,
        4,
    )
    assert recipe["model"].startswith("sha256:")
    assert made_with["scheduler"] == "DPMSolverMultistepScheduler"
    assert (made_with["device"], made_with["dtype"]) == resolve("auto", "auto")
    assert (made_with["width"], made_with["height"]) == (32, 32)
    assert (made_with["promptflux"], made_with["torch"]) == (version(), torch.__version__)
    assert {"diffusers", "transformers", "python"} <= set(made_with)


def test_an_image_does_not_depend_on_its_neighbours(study, tmp_path, tiny_model):
    together = study.make(ROWS)
    other = Study(tmp_path / "alone", tiny_model)
    other.folder.mkdir()
    for name, text in ROWS.items():
        alone = other.make({name: text}, only=[f"{name}_2"])
        assert alone[f"{name}_2"] == together[f"{name}_2"]


def test_images_differ_between_seeds_and_prompts(study):
    images = study.make(ROWS)
    assert len({pixels(study.images / f"{name}.png").tobytes() for name in images}) == len(images)


def test_what_would_be_made_anyway_is_kept(study):
    first = study.make(ROWS)
    times = {path: path.stat().st_mtime_ns for path in (study.images).iterdir()}
    second = study.make({"new": "a new prompt", **ROWS, "sea": "another sea"})
    changed = {name for name in first if first[name] != second[name]}
    assert changed == {"sea_1", "sea_2"}
    assert all(path.stat().st_mtime_ns == time for path, time in times.items() if "sea" not in path.name)


def test_a_changed_setting_makes_all_again(study):
    first = study.make(ROWS)
    second = study.make(ROWS, guidance_scale=1.5)
    assert all(first[name] != second[name] for name in first)


def test_a_broken_image_is_made_again(study):
    first = study.make(ROWS)
    path = study.images / "sea_1.png"
    path.write_bytes(first["sea_1"][:200])
    assert study.make(ROWS) == first


def test_the_model_counts_by_its_contents_not_its_place(study, tmp_path):
    first = study.make(ROWS)
    study.model = shutil.copytree(study.model, tmp_path / "moved")
    os.utime(study.model / "model_index.json")
    time = (study.images / "sea_1.png").stat().st_mtime_ns
    assert study.make(ROWS) == first
    assert (study.images / "sea_1.png").stat().st_mtime_ns == time


def test_hostile_prompts_are_only_text(study):
    hostile = {
        "quotes": '"it\'s" `x` $(touch owned) $5 {braces} <script>alert(1)</script>',
        "emoji": "🌲 غابة שמש \u2028",
        "long": "tree " * 1000,
    }
    images = study.make(hostile)
    assert list(images) == [f"{name}_{k}" for name in hostile for k in (1, 2)]
    for name, text in hostile.items():
        provenance = read_provenance(study.images / f"{name}_1.png")
        assert provenance["recipe"]["prompt"] == text.strip()
    assert not (study.folder / "owned").exists()


def test_the_words_that_do_not_fit_are_named(study, capsys):
    study.make({"long": "tree " * 20 + "cheesecake"}, only=["long_1"])
    assert "cheesecake" in capsys.readouterr().err


def test_a_model_that_cannot_be_loaded_is_a_sentence(study, tmp_path):
    study.model = shutil.copytree(study.model, tmp_path / "broken")
    (study.model / "unet/diffusion_pytorch_model.safetensors").write_bytes(b"not weights")
    with pytest.raises(StudyError, match="no .safetensors file, or it was cut short"):
        study.make(ROWS)
    assert not (study.images).exists() or not list((study.images).iterdir())


def test_what_the_model_cannot_do_is_said_before_the_first_image_of_any_batch(study, tmp_path):
    """A negative prompt in another row, of another job."""
    study.model = latent_consistency(study.model, tmp_path / "lcm")
    with pytest.raises(StudyError, match="LatentConsistencyModelPipeline takes no negative_prompt"):
        study.make(ROWS, only=["forest_1"])
    assert not study.images.exists()
    assert set(study.make({"forest": "a forest"}, steps=1)) == {"forest_1", "forest_2"}


def test_a_model_that_broke_leaves_good_images_as_they_are(study, tmp_path):
    study.model = shutil.copytree(study.model, tmp_path / "model")
    sums = "".join(
        f"{sha256_of_file(path)}  model/{path.relative_to(study.model)}\n"
        for path in model_files(study.model)
    )
    (tmp_path / "model.sha256").write_text(sums)
    good = study.make(ROWS)
    times = {path: path.stat().st_mtime_ns for path in study.images.iterdir()}
    weights = study.model / "unet/diffusion_pytorch_model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-100] ^= 1
    weights.write_bytes(content)
    with pytest.raises(StudyError, match="unet/diffusion_pytorch_model.safetensors' has other bytes"):
        study.make(ROWS)
    assert {name: (study.images / f"{name}.png").read_bytes() for name in good} == good
    assert {path: path.stat().st_mtime_ns for path in study.images.iterdir()} == times


def test_a_device_that_is_not_there_is_a_sentence(study):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(StudyError, match="generator.device"):
        study.make(ROWS, device="cuda")

"""The training's workflow: its settings, what its targets need, and a run of it at a very small size."""

import json
import shutil

import numpy as np
import pytest
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file
from support.workflow import WORKFLOW

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights
from promptflux.runtime.code import python_digest

SMALL = (
    "--config", "scale=0.0005", "threads=1", "autoencoder={widths: [8, 16, 16, 16], batch: 2}", "decoder={batch: 2, redrawn_from: [18, 18]}",
    "text_model={batch: 8}", "denoiser={widths: [16, 32, 32], batch: 4}",
)  # fmt: skip
CNN32 = "results/trained/classifiers/cnn32.h5"


@pytest.fixture(scope="module")
def small_run(run_training, tmp_path_factory):
    """A folder in which the generator and a classifier were trained from nothing."""
    folder = tmp_path_factory.mktemp("small")
    run_training(folder, "scenes", CNN32, *SMALL)
    return folder


def weights_of(folder):
    """Of one file or several."""
    return {name: value for path in folder.glob("*.safetensors") for name, value in load_file(path).items()}


def test_wrong_settings_are_sentences_before_any_job(run_training, tmp_path):
    finished = run_training(
        tmp_path, "scenes", "--config", "scale=0", "from_embedded=maybe", "stepps=3", expect=1
    )
    said = finished.stderr
    assert "The training cannot start." in said
    assert "scale is 0; it must be a number above 0 and at most 1." in said
    assert "from_embedded is 'maybe'; it must be true or false." in said
    assert (
        "the key 'stepps' is unknown; the known keys are scale, from_embedded, threads, autoencoder, text_model, denoiser, decoder."
        in said
    )
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("target", "needed", "spared"),
    [
        (
            "classifiers",
            (
                "draw_dataset",
                "train_autoencoder",
                "train_denoiser",
                "train_decoder",
                "decode_drawings",
                "train_classifier",
            ),
            ("train_judge", "evaluate_pipeline"),
        ),
        (
            "evaluate",
            ("draw_dataset", "train_judge", "evaluate_pipeline"),
            ("train_autoencoder", "train_denoiser", "train_classifier"),
        ),
    ],
)
def test_what_a_target_needs(run_training, tmp_path, target, needed, spared):
    plan = run_training(tmp_path, target, "--dry-run", *SMALL)
    for rule in needed:
        assert rule in plan.stdout + plan.stderr
    for rule in spared:
        assert rule not in plan.stdout + plan.stderr


def test_the_generator_is_a_pipeline_with_its_card(small_run):
    trained = small_run / "results/trained"
    pipeline = DiffusionPipeline.from_pretrained(trained / "scenes")
    image = pipeline("a forest", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()
    card = (trained / "scenes/README.md").read_text()
    assert "snakemake -s training/Snakefile --cores all scenes" in card
    for picture in ("samples.png", "evaluation.png"):
        assert f"({picture})" in card
        assert np.asarray(Image.open(trained / "scenes" / picture)).std() > 1
    evaluation = json.loads((trained / "evaluated/trained.json").read_text())
    assert evaluation["images"] == 2 * evaluation["prompts"] and 0 <= evaluation["kind"] <= 1


def test_a_classifier_is_measured_and_fits_its_spec(small_run):
    spec = load_spec(WORKFLOW / "models/classifiers/cnn32.yaml")
    weights = load_weights(small_run / CNN32, spec)
    assert set(weights) == set(spec.parameters)
    measured = json.loads((small_run / CNN32).with_suffix(".json").read_text())
    assert 0 <= measured["accuracy"] <= 1 and measured["held_out_drawings"] == 64


def test_a_finished_training_is_not_done_again_and_a_killed_one_goes_on(run_training, small_run, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(small_run, folder)
    trained = folder / "results/trained"
    assert "Nothing to be done" in run_training(folder, "scenes", CNN32, *SMALL).stderr
    # As after a kill at the end of the training: the checkpoints are there, the models are not.
    models = ("autoencoder", "sharp_autoencoder", "denoiser")
    before = {
        model: next((small_run / "results/trained" / model).rglob("diffusion*.safetensors")).read_bytes()
        for model in models
    }
    for model in models:
        shutil.rmtree(trained / model)
    run_training(folder, *(f"results/trained/{model}" for model in models), *SMALL)
    for model in models:
        log = model.replace("sharp_autoencoder", "decoder")
        assert "going on after step" in (folder / f"results/logs/train/{log}.log").read_text()
        assert next((trained / model).rglob("diffusion*.safetensors")).read_bytes() == before[model]


def test_training_goes_on_from_the_embedded_models(run_training, tmp_path):
    """After the few steps of this small training the weights are still nearly the embedded ones."""
    run_training(tmp_path, "results/trained/denoiser", CNN32, *SMALL, "from_embedded=true")
    trained, embedded = tmp_path / "results/trained", WORKFLOW / "models/scenes"
    for part, place in (("unet", "denoiser"), ("text_encoder", "text_model")):
        new, old = (weights_of(folder / part) for folder in (trained / place, embedded))
        change = max(float((new[name].float() - old[name].float()).abs().max()) for name in old)
        assert set(new) == set(old) and 0 < change < 0.02, change
    spec = load_spec(WORKFLOW / "models/classifiers/cnn32.yaml")
    new, old = (load_weights(path, spec) for path in (tmp_path / CNN32, spec.weights_path))
    assert 0.99 < np.corrcoef(new["conv1/weight"].ravel(), old["conv1/weight"].ravel())[0, 1] < 1

    history = json.loads((trained / "denoiser/training.json").read_text())
    assert history["denoiser"][:-1] == json.loads((embedded / "training.json").read_text())["denoiser"]
    assert not (trained / "autoencoder").exists()  # the embedded one, as it is


def test_what_is_drawn_and_learned_follows_the_code(tmp_path):
    """The digest of a script changes with a kind of scene, and not with a comment."""

    def digests(name, before="", after=""):
        """Of each script, with `after` for `before` in the file of a kind of scene."""
        for part in ("training", "scripts"):
            ignored = shutil.ignore_patterns("__pycache__", "tests", ".*")
            shutil.copytree(WORKFLOW / part, tmp_path / name / part, ignore=ignored)
        kind = tmp_path / name / "training/world/kinds/lake.py"
        kind.write_text(kind.read_text().replace(before, after, 1))
        roots = [tmp_path / name / "scripts", tmp_path / name]
        scripts = (tmp_path / name / "training/scripts").glob("*.py")
        return {path.stem: python_digest(path, roots) for path in scripts}

    as_it_is = digests("as_it_is")
    assert digests("with_a_comment", "def paint", "# still water\ndef paint") == as_it_is
    other = digests("with_more_boats", "SAILBOAT: 0.25", "SAILBOAT: 0.5")
    changed = {name for name, digest in other.items() if digest != as_it_is[name]}
    assert {"draw_dataset", "draw_scenes", "train_denoiser", "train_judge", "train_classifier"} <= changed
    assert {"train_text_model", "train_decoder"} <= changed
    assert not changed & {"train_autoencoder", "decode_drawings", "assemble_scenes"}

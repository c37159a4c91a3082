"""The embedded models, trained from nothing at a very small size, by the same rules."""

import json
import shutil

import numpy as np
from conftest import WORKFLOW
from diffusers import DiffusionPipeline

from promptflux.network import load_weights
from promptflux.spec import load_spec

SMALL = ("--config", "training={scale: 0.0005}", "engines=[torch]")


def test_train_scenes_makes_a_pipeline_and_goes_on_after_a_kill(snakemake, tmp_path):
    snakemake("train_scenes", *SMALL)
    trained = tmp_path / "results/trained"
    pipeline = DiffusionPipeline.from_pretrained(trained / "scenes")
    image = pipeline("a forest", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()
    assert "snakemake --cores all train_scenes" in (trained / "scenes/README.md").read_text()
    spec = load_spec(WORKFLOW / "models/classifiers/cnn32.yaml")
    load_weights(trained / "classifiers/cnn32.h5", spec)
    assert 0 <= json.loads((trained / "classifiers/cnn32.json").read_text())["accuracy"] <= 1

    # As after a kill at the end of the training: the checkpoints are there, the models are not.
    for model in ("autoencoder", "denoiser"):
        shutil.rmtree(trained / model)
    snakemake("results/trained/autoencoder", "results/trained/denoiser", *SMALL)
    for model in ("autoencoder", "denoiser"):
        assert "going on after step" in (tmp_path / f"results/logs/train/{model}.log").read_text()


def test_the_classifiers_need_no_denoiser(snakemake):
    plan = snakemake("train_classifiers", "--dry-run", *SMALL)
    for rule in ("draw_dataset", "train_autoencoder", "decode_drawings", "train_classifier"):
        assert rule in plan.stdout + plan.stderr
    assert "train_denoiser" not in plan.stdout + plan.stderr

"""The embedded models, trained from nothing at a very small size, by the same rules."""

import json

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
    assert "snakemake train_scenes" in (trained / "scenes/README.md").read_text()
    spec = load_spec(WORKFLOW / "models/classifiers/cnn32.yaml")
    load_weights(trained / "classifiers/cnn32.h5", spec)
    assert 0 <= json.loads((trained / "classifiers/cnn32.json").read_text())["accuracy"] <= 1

    # As after a kill at the end of the training: the checkpoint is there, the model is not.
    (trained / "denoiser_loss.png").unlink()
    run = snakemake("results/trained/denoiser", *SMALL)
    log = (tmp_path / "results/logs/train/denoiser.log").read_text()
    assert "going on after step 2" in log
    assert "train_autoencoder" not in run.stderr


def test_the_classifiers_need_no_denoiser(snakemake):
    plan = snakemake("train_classifiers", "--dry-run", *SMALL)
    for rule in ("draw_dataset", "train_autoencoder", "decode_drawings", "train_classifier"):
        assert rule in plan.stdout + plan.stderr
    assert "train_denoiser" not in plan.stdout + plan.stderr

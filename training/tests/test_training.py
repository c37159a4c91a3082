"""The embedded models, trained from nothing at a very small size, by the same rules."""

import json
import os
import platform
import shutil
import subprocess
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch
import train_denoiser
from diffusers import DiffusionPipeline
from PIL import Image
from safetensors.torch import load_file
from support.workflow import WORKFLOW
from torch import nn
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights
from training.loop import MuonAndAdamW, seed_of
from training.models import new_scheduler
from training.world.scenes import Scene

SMALL = ("--config", "training={scale: 0.0005}", "engines=[torch]")


def other_drawings(trained):
    """Change a pixel of the drawings."""
    drawings = np.load(trained / "drawings.npy", mmap_mode="r+")
    drawings[0, 0, 0, 0] ^= 1
    drawings.flush()


def test_train_scenes_makes_a_pipeline_and_goes_on_after_a_kill(snakemake, tmp_path):
    snakemake("train_scenes", *SMALL)
    trained = tmp_path / "results/trained"
    pipeline = DiffusionPipeline.from_pretrained(trained / "scenes")
    image = pipeline("a forest", num_inference_steps=2, output_type="np").images[0]
    assert image.shape == (128, 128, 3) and np.isfinite(image).all()
    assert "snakemake --cores all train_scenes" in (trained / "scenes/README.md").read_text()
    for picture in ("samples.png", "evaluation.png"):
        assert f"({picture})" in (trained / "scenes/README.md").read_text()
        assert np.asarray(Image.open(trained / "scenes" / picture)).std() > 1
    evaluation = json.loads((trained / "evaluated/trained.json").read_text())
    assert evaluation["images"] == 2 * evaluation["prompts"] and 0 <= evaluation["kind"] <= 1

    # As after a kill at the end of the training: the checkpoints are there, the models are not.
    for model in ("autoencoder", "denoiser"):
        shutil.rmtree(trained / model)
    snakemake("results/trained/autoencoder", "results/trained/denoiser", *SMALL)
    for model in ("autoencoder", "denoiser"):
        assert "going on after step" in (tmp_path / f"results/logs/train/{model}.log").read_text()

    # Other drawings: what was learnt from the first ones is no start.
    other_drawings(trained)
    snakemake("results/trained/autoencoder", *SMALL)
    assert "other settings or drawings" in (tmp_path / "results/logs/train/autoencoder.log").read_text()


def test_a_classifier_is_trained_measured_and_fits_its_spec(snakemake, tmp_path):
    snakemake("results/trained/classifiers/cnn32.h5", *SMALL)
    trained = tmp_path / "results/trained/classifiers"
    load_weights(trained / "cnn32.h5", load_spec(WORKFLOW / "models/classifiers/cnn32.yaml"))
    assert 0 <= json.loads((trained / "cnn32.json").read_text())["accuracy"] <= 1


@pytest.mark.parametrize(
    ("target", "needed", "spared"),
    [
        (
            "train_classifiers",
            ("draw_dataset", "train_autoencoder", "decode_drawings", "train_classifier"),
            ("train_denoiser", "train_judge"),
        ),
        (
            "evaluate_scenes",
            ("draw_dataset", "train_judge", "evaluate_pipeline"),
            ("train_autoencoder", "train_denoiser"),
        ),
    ],
)
def test_what_a_target_needs(snakemake, target, needed, spared):
    plan = snakemake(target, "--dry-run", *SMALL)
    for rule in needed:
        assert rule in plan.stdout + plan.stderr
    for rule in spared:
        assert rule not in plan.stdout + plan.stderr


def test_training_goes_on_from_the_embedded_models(snakemake, tmp_path):
    """After the few steps of this small training the weights are still nearly the embedded ones."""
    settings = ("--config", "training={scale: 0.0005, from_embedded: true}", "engines=[torch]")
    snakemake("results/trained/denoiser", "results/trained/classifiers/cnn32.h5", *settings)
    trained, embedded = tmp_path / "results/trained", WORKFLOW / "models/scenes"
    for new, old in (
        (trained / "denoiser/unet", embedded / "unet"),
        (trained / "denoiser/text_encoder", embedded / "text_encoder"),
    ):
        new, old = (load_file(next(folder.glob("*.safetensors"))) for folder in (new, old))
        change = max(float((new[name].float() - old[name].float()).abs().max()) for name in old)
        assert set(new) == set(old) and change < 0.02, change
    spec = load_spec(WORKFLOW / "models/classifiers/cnn32.yaml")
    new, old = (load_weights(path, spec) for path in (trained / "classifiers/cnn32.h5", spec.weights_path))
    assert np.corrcoef(new["conv1/weight"].ravel(), old["conv1/weight"].ravel())[0, 1] > 0.99

    history = json.loads((trained / "denoiser/training.json").read_text())
    assert history["denoiser"][:-1] == json.loads((embedded / "training.json").read_text())["denoiser"]
    assert not (trained / "autoencoder").exists()  # the embedded one, as it is

    (before,) = trained.glob("latents_*.npy")
    other_drawings(trained)
    snakemake("results/trained/denoiser", *settings)
    (after,) = trained.glob("latents_*.npy")
    assert after != before
    assert "other settings or drawings" in (tmp_path / "results/logs/train/denoiser.log").read_text()

    # From nothing again: a checkpoint that began elsewhere is not gone on from.
    snakemake("results/trained/denoiser", *SMALL)
    assert "starting again" in (tmp_path / "results/logs/train/denoiser.log").read_text()


def embedded_words():
    """The embedded text model, its tokenizer and the words that it knows."""
    folder = WORKFLOW / "models/scenes"
    return (
        CLIPTextModel.from_pretrained(folder / "text_encoder"),
        CLIPTokenizer.from_pretrained(folder / "tokenizer"),
        set((folder / "words.txt").read_text(encoding="utf-8").split()),
    )


@pytest.mark.parametrize("knows_words", [False, True])
def test_a_text_model_that_knows_words_waits_for_its_answers(knows_words, monkeypatch):
    """It stays as it is for a fifth of the steps; here only these have a learning rate."""
    monkeypatch.setattr(train_denoiser, "learning_rate", lambda step, *_: 1e-3 if step < 2 else 0.0)
    text_model, tokenizer, known = embedded_words()
    before = {name: value.clone() for name, value in text_model.state_dict().items()}
    settings = train_denoiser.SETTINGS | {"text_steps": 10, "text_batch": 4}
    losses = train_denoiser.teach_words(text_model, tokenizer, known if knows_words else set(), settings)
    assert np.isfinite(losses).all()
    same = all(torch.equal(value, before[name]) for name, value in text_model.state_dict().items())
    assert same == knows_words


def test_a_text_model_that_goes_on_keeps_its_states_of_known_words():
    """The U-Net goes by them. Held against a training in which no word counts as known."""

    def drift(known):
        text_model, tokenizer, _ = embedded_words()
        tokens = tokenizer("a misty forest at night with a house", return_tensors="pt").input_ids
        before = text_model(tokens).last_hidden_state.detach()
        settings = train_denoiser.SETTINGS | {"text_steps": 60, "text_batch": 16}
        train_denoiser.teach_words(text_model, tokenizer, known, settings)
        after = text_model(tokens).last_hidden_state.detach()
        return float((after - before).square().mean().sqrt())

    assert drift(embedded_words()[2]) < 0.5 * drift({"nothing"})


def test_times_of_half_noise_are_learnt_from_most_and_none_is_left_out():
    alphas = new_scheduler().alphas_cumprod
    chances = train_denoiser.chances_of_times(alphas, train_denoiser.SETTINGS)
    assert float(chances.sum()) == pytest.approx(1, abs=1e-4)
    assert float(chances.min()) >= 0.25 / 1000 * 0.999
    signal = alphas / (1 - alphas)
    shares = [
        float(chances[(signal > low) & (signal <= high)].sum())
        for low, high in ((0, 0.02), (0.3, 8), (50, 1e9))
    ]
    assert shares[1] > 0.5 > shares[0] + shares[2] and min(shares) > 0.02, shares


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to keep freed memory")
def test_freed_memory_is_kept_for_the_next_step():
    code = """
import resource, torch
from promptflux.training import device
device()
torch.ones(20_000_000)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    torch.ones(20_000_000)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=WORKFLOW / "scripts",
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert int(run.stdout) < 20_000  # pages of 4 KiB; from the kernel they would be 97,656


def test_a_training_that_goes_on_meets_other_batches(tmp_path):
    starts = [tmp_path / "one.h5", tmp_path / "two.h5"]
    for start in starts:
        start.write_text(start.name)
    seeds = {seed_of(2, None), *(seed_of(2, start) for start in starts)}
    assert 2 in seeds and len(seeds) == 3
    assert all(0 <= seed < 2**32 for seed in seeds)


def test_drawings_of_rare_things_are_learnt_from_oftener():
    castle, sunny, plain = (
        Scene("mountains", things=("sun", "castle")),
        Scene("lake", things=("sun",)),
        Scene("lake"),
    )
    told = [castle] * 2 + [sunny] * 48 + [plain] * 50
    chances = train_denoiser.chances_of_drawings(told, {"rarity": 0.5})
    assert chances.sum() == pytest.approx(1)
    assert chances[0] / chances[-1] == pytest.approx((100 / 2) ** 0.5)
    assert chances[2] / chances[-1] == pytest.approx((100 / 50) ** 0.5)
    assert set(train_denoiser.chances_of_drawings(told, {"rarity": 0.0})) == {0.01}


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_muon_moves_inner_weights_equally_far_in_every_direction(layout):
    torch.manual_seed(0)
    network = nn.Sequential(OrderedDict(first=nn.Conv2d(3, 8, 3), inner=nn.Conv2d(8, 6, 3)))
    network = network.to(memory_format=layout)
    optimizer = MuonAndAdamW(network, ("first",), weight_decay=0.0)
    assert [weight.shape for weight in optimizer.weights] == [(6, 8, 3, 3)]
    before = network.inner.weight.detach().clone()
    network(torch.randn(4, 3, 9, 9)).square().sum().backward()
    gradient = network.inner.weight.grad.flatten(1)
    optimizer.step(0.01)
    moved = (before - network.inner.weight.detach()).flatten(1)
    lengths = torch.linalg.svdvals(moved) / (0.01 * 0.2 * 72**0.5)  # the largest side of the matrix
    assert lengths.min() > 0.5 and lengths.max() < 1.5
    assert (moved * gradient).sum() > 0
    assert all(parameter.grad is None for parameter in network.parameters())

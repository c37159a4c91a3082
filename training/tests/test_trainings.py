"""The trainings: a few steps of each give the losses and the weights that they gave before, and more.

PYTHONPATH=scripts:tests:.:training/scripts python training/tests/test_trainings.py    # makes the golden file anew, after a change that is meant
"""

import hashlib
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import train_autoencoder
import train_classifier
import train_decoder
import train_denoiser
import train_judge
import train_text_model
import yaml
from diffusers import AutoencoderKL
from PIL import Image, ImageFilter
from safetensors.torch import load_file
from support.workflow import WORKFLOW
from transformers import CLIPTextModel, CLIPTokenizer

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights
from training import loop, words
from training.autoencoding import roughness_loss
from training.hardware import machine
from training.images import pixels, sharpness, spectra
from training.models import OBJECTIVES, new_scheduler, signal_and_noise, target_of
from training.world.captions import caption
from training.world.drawing import draw
from training.world.sampling import scene_of
from training.world.scene import Scene

GOLDEN = Path(__file__).parent / "golden/trainings.json"
EMBEDDED = WORKFLOW / "models/scenes"
CNN32 = WORKFLOW / "models/classifiers/cnn32.yaml"
FIRST_SEEDS = (0, 1_000_000)

CONFIG = yaml.safe_load((WORKFLOW / "training/config.yaml").read_text(encoding="utf-8"))

# So few and so small steps that all trainings take seconds.
SETTINGS = {
    part: CONFIG[part] | values
    for part, values in {
        "autoencoder": {"widths": [8, 16, 16, 16], "steps": 7, "batch": 2, "warmup": 2},
        "decoder": {"steps": 4, "batch": 4, "warmup": 2, "redrawn": 12, "redrawn_from": [17, 18]},
        "text_model": {"vocabulary_captions": 300, "steps": 6, "batch": 8},
        "denoiser": {"widths": [16, 32, 32], "steps": 5, "batch": 8, "warmup": 2},
    }.items()
}
SMALL = (
    (train_judge.SETTINGS, {"steps": 5, "batch": 8}),
    (train_classifier.SETTINGS["cnn32"], {"steps": 5, "batch": 8}),
)


@contextmanager
def small_settings() -> Iterator[dict]:
    """All trainings at a very small size, on one thread; yields the losses that they hand to their loss curves."""
    losses, threads = {}, torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        torch.set_num_threads(1)
        for settings, values in SMALL:
            for key, value in values.items():
                patch.setitem(settings, key, value)
        for script in (train_autoencoder, train_decoder, train_text_model, train_denoiser, train_classifier):
            patch.setattr(script, "loss_curve", lambda found, title, path: losses.update(found))
        # A tokenizer that does not change with its library.
        tokenizer = CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer")
        patch.setattr(train_text_model, "new_tokenizer", lambda captions: tokenizer)
        yield losses
        torch.set_num_threads(threads)


def small_drawings(folder: Path) -> dict[str, str]:
    """A few drawings to learn from, and a few that no training sees."""
    for name, first, count in (("drawings", 0, 24), ("held_out", 1_000_000, 8)):
        np.save(folder / f"{name}.npy", np.stack([np.asarray(draw(first + i)[0]) for i in range(count)]))
    return {name: str(folder / f"{name}.npy") for name in ("drawings", "held_out")}


def train_all(folder: Path) -> dict:
    """Do each training in `folder`; returns what became of the weights, and the losses."""
    weights, losses = {}, {}

    def file(name):
        return str(folder / name)

    drawings = small_drawings(folder)
    with small_settings() as found:
        kept = {"curve": file("curve.png"), "checkpoints": file("checkpoints")}
        train_autoencoder.main(
            **drawings, **kept, settings=SETTINGS["autoencoder"], model=file("autoencoder")
        )
        weights["autoencoder"] = weights_in(folder / "autoencoder")
        losses["autoencoder"] = found["autoencoder"]
        for suffix, autoencoder, start in (
            ("", file("autoencoder"), None),
            (" from embedded", str(EMBEDDED / "vae"), str(EMBEDDED)),
        ):
            text_model, model = file(f"text_model{suffix}"), file(f"denoiser{suffix}")
            train_text_model.main(**kept, settings=SETTINGS["text_model"], model=text_model, start=start)
            train_denoiser.main(
                **kept, settings=SETTINGS["denoiser"], drawings=drawings["drawings"], number=20, first_seed=0,
                autoencoder=autoencoder, text_model=text_model, model=model, start=start, latents=file(f"latents{suffix}"),
            )  # fmt: skip
            weights[f"text_encoder{suffix}"] = weights_in(Path(text_model) / "text_encoder")
            weights[f"unet{suffix}"] = weights_in(Path(model) / "unet")
            losses |= {name + suffix: found[name] for name in ("text model", "denoiser")}
        train_decoder.main(
            **drawings, **kept, settings=SETTINGS["decoder"], first_seed=0, autoencoder=file("autoencoder"),
            text_model=file("text_model"), denoiser=file("denoiser"), model=file("sharp"),
        )  # fmt: skip
        weights["decoder"] = weights_in(folder / "sharp")
        losses["decoder"] = found["decoder"]
        train_judge.main(
            **drawings, first_seeds=FIRST_SEEDS, judge=file("judge.safetensors"), figures=file("judge.json")
        )
        weights["judge"] = load_file(file("judge.safetensors"))
        for suffix, start in (("", None), (" from embedded", str(CNN32.with_suffix(".h5")))):
            train_classifier.main(
                **drawings, spec=str(CNN32), decoded=drawings["drawings"], first_seeds=FIRST_SEEDS, start=start,
                weights=file("cnn32.h5"), figures=file("cnn32.json"), curve=file("curve.png"),
            )  # fmt: skip
            weights["cnn32" + suffix] = load_weights(file("cnn32.h5"), load_spec(CNN32))
            losses["cnn32" + suffix] = found["cnn32"]
    return {
        "machine": f"{machine()}, torch {torch.__version__}, NumPy {np.__version__}",
        "weights": {name: about(arrays) for name, arrays in weights.items()},
        "losses": losses,
    }


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """What the trainings gave, and the folder of their files."""
    folder = tmp_path_factory.mktemp("trained")
    return train_all(folder), folder


def weights_in(folder: Path) -> dict:
    return load_file(next(folder.glob("*.safetensors")))


def about(weights) -> dict:
    """Weights in a form that can be kept: a digest of their bytes, and the mean over all tensors of their mean size."""
    arrays = {name: np.asarray(weights[name]) for name in sorted(weights)}
    digest = hashlib.sha256(b"".join(name.encode() + array.tobytes() for name, array in arrays.items()))
    spread = np.mean([np.abs(array.astype(float)).mean() for array in arrays.values()])
    return {"digest": digest.hexdigest()[:24], "spread": round(float(spread), 6)}


def test_each_training_gives_what_it_gave(trained):
    made, golden = trained[0], json.loads(GOLDEN.read_text(encoding="utf-8"))
    if made["machine"] == golden["machine"]:
        assert made == golden
    for name, values in golden["losses"].items():
        np.testing.assert_allclose(made["losses"][name], values, rtol=0.1, atol=0.05, err_msg=name)
    for name, kept in golden["weights"].items():
        assert made["weights"][name]["spread"] == pytest.approx(kept["spread"], rel=0.02), name


@pytest.mark.parametrize("changed", ["drawings", "code"])
def test_a_training_of_other_drawings_or_code_starts_again(trained, changed, tmp_path, capsys):
    """What was learned from the first ones is no start; it is kept, and the new training says so."""
    _, folder = trained
    drawings = {name: str(folder / f"{name}.npy") for name in ("drawings", "held_out")}
    checkpoints = folder / "checkpoints"
    before = set(checkpoints.glob("autoencoder_*.pt"))
    if changed == "drawings":
        images = np.load(folder / "drawings.npy")
        images[0, 0, 0, 0] ^= 1
        drawings["drawings"] = str(tmp_path / "drawings.npy")
        np.save(drawings["drawings"], images)
    with small_settings():
        train_autoencoder.main(
            **drawings,
            settings=SETTINGS["autoencoder"],
            model=str(tmp_path / "autoencoder"),
            curve="",
            checkpoints=str(checkpoints),
            code="another" if changed == "code" else "",
        )
    said = capsys.readouterr().err
    assert "other settings, data or code: starting again" in said and "going on" not in said
    assert before < set(checkpoints.glob("autoencoder_*.pt"))


def test_latents_of_other_drawings_are_replaced(tmp_path):
    old = train_denoiser.latents_file(tmp_path, {"drawings": "one"})
    old.write_bytes(b"")
    assert train_denoiser.latents_file(tmp_path, {"drawings": "one"}).exists()
    assert train_denoiser.latents_file(tmp_path, {"drawings": "two"}) != old
    assert not old.exists()


def embedded_words():
    """The embedded text model, its tokenizer and the words that it knows."""
    return (
        CLIPTextModel.from_pretrained(EMBEDDED / "text_encoder"),
        CLIPTokenizer.from_pretrained(EMBEDDED / "tokenizer"),
        set((EMBEDDED / "words.txt").read_text(encoding="utf-8").split()),
    )


@pytest.mark.parametrize("knows_words", [False, True])
def test_a_text_model_that_knows_words_waits_for_its_answers(knows_words, monkeypatch):
    """It stays as it is for a fifth of the steps; here only these have a learning rate."""
    monkeypatch.setattr(loop, "learning_rate_factor", lambda step, *_: 1.0 if step < 2 else 0.0)
    text_model, tokenizer, known = embedded_words()
    before = {name: value.clone() for name, value in text_model.state_dict().items()}
    settings = CONFIG["text_model"] | {"steps": 10, "batch": 4}
    losses = words.teach_words(text_model, tokenizer, known if knows_words else set(), settings).losses
    assert np.isfinite(losses).all()
    same = all(torch.equal(value, before[name]) for name, value in text_model.state_dict().items())
    assert same == knows_words


def test_a_text_model_that_goes_on_keeps_its_states_of_known_words():
    """The U-Net goes by them. Held against a training in which no word counts as known."""

    def drift(known):
        text_model, tokenizer, _ = embedded_words()
        tokens = tokenizer("a misty forest at night with a house", return_tensors="pt").input_ids
        before = text_model(tokens).last_hidden_state.detach()
        settings = CONFIG["text_model"] | {"steps": 60, "batch": 16}
        words.teach_words(text_model, tokenizer, known, settings)
        after = text_model(tokens).last_hidden_state.detach()
        return float((after - before).square().mean().sqrt())

    assert drift(embedded_words()[2]) < 0.5 * drift({"nothing"})


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_times_of_half_noise_are_learned_from_most_and_none_is_left_out(objective):
    signal, noise = signal_and_noise(new_scheduler(objective))
    chances = train_denoiser.chances_of_times(signal, noise, CONFIG["denoiser"])
    assert float(chances.sum()) == pytest.approx(1, abs=1e-4)
    assert float(chances.min()) >= 0.25 / 1000 * 0.999
    ratio = (signal / noise).square()
    shares = [
        float(chances[(ratio > low) & (ratio <= high)].sum())
        for low, high in ((-1, 0.02), (0.3, 8), (50, torch.inf))
    ]
    assert shares[1] > 0.5 > shares[0] + shares[2] and min(shares) > 0.02, shares


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_sampler_finds_what_a_perfect_network_predicts(objective):
    """A network that always knows the picture leads there from any noise: training and sampler mean the same velocity."""
    scheduler = new_scheduler(objective)
    signal, noise = signal_and_noise(scheduler)
    clean = torch.linspace(-1, 1, 64).reshape(1, 1, 8, 8)
    scheduler.set_timesteps(20)
    sample = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * scheduler.init_noise_sigma
    for time in scheduler.timesteps:
        there = (sample - signal[time] * clean) / noise[time].clamp(min=1e-3)
        predicted = target_of(objective, clean, there, signal[time], noise[time])
        sample = scheduler.step(
            predicted, time, sample, generator=torch.Generator().manual_seed(1)
        ).prev_sample
    assert float((sample - clean).abs().max()) < 0.05


def test_a_soft_picture_is_less_sharp_and_a_rough_one_more():
    pictures = np.stack([np.asarray(draw(seed)[0]) for seed in range(6)])
    soft = np.stack([np.asarray(Image.fromarray(p).filter(ImageFilter.GaussianBlur(1))) for p in pictures])
    grain = np.random.default_rng(0).normal(0, 12, pictures.shape)
    measured = [sharpness(p) for p in (soft, pictures, (pictures + grain).clip(0, 255).astype(np.uint8))]
    for name in ("fine", "finest", "edge"):
        values = [one[name] for one in measured]
        assert values == sorted(values) and values[0] < 0.8 * values[1], name


def test_drawn_anew_from_later_on_latents_stay_nearer_to_what_they_were():
    """And those of the same step and seed are the same."""
    redraw = train_decoder.Redrawing(EMBEDDED, EMBEDDED, torch.device("cpu"))
    autoencoder = AutoencoderKL.from_pretrained(EMBEDDED / "vae")
    scenes = [scene_of(seed) for seed in range(3)]
    captions = [caption(scene, np.random.default_rng(0)) for scene in scenes]
    with torch.no_grad():
        images = pixels(np.stack([np.asarray(draw(seed)[0]) for seed in range(3)]))
        latents = autoencoder.encode(images).latent_dist.mode() * autoencoder.config.scaling_factor

    def redrawn(first):
        return redraw(latents, captions, first, torch.Generator().manual_seed(0))

    steps = (10, 15, 19)
    made = {first: redrawn(first) for first in steps}
    off = [float((made[first] - latents).square().mean().sqrt()) for first in steps]
    assert 1 > off[0] > off[1] > off[2] > 0, off
    assert torch.equal(redrawn(15), made[15])


def test_a_picture_is_as_rough_wherever_its_roughness_lies_and_less_so_when_soft():
    images = pixels(np.stack([np.asarray(draw(seed)[0]) for seed in range(4)]))
    moved, soft = images.roll(48, -1), F.avg_pool2d(images, 3, 1, 1)
    assert float(roughness_loss(images, images)) == 0
    assert float(roughness_loss(moved, images)) < 0.3 * float(roughness_loss(soft, images))
    assert float(F.l1_loss(moved, images)) > float(F.l1_loss(soft, images))


def test_strengths_of_frequencies_are_those_of_a_windowed_fourier_transform():
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    window = torch.hann_window(16)
    patches = images.unfold(2, 16, 8).unfold(3, 16, 8) * (window[:, None] * window)
    expected = torch.fft.rfft2(patches, norm="ortho").abs().permute(0, 1, 4, 5, 2, 3).reshape(6, 144, 3, 3)
    torch.testing.assert_close(spectra(images, 16), expected, atol=2e-4, rtol=0)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is asked to keep freed memory")
def test_freed_memory_is_kept_for_the_next_step():
    # NumPy asks malloc for just the bytes. PyTorch asks for aligned ones, of which glibc before 2.38 leaves a crumb
    # of up to 48 bytes behind, so that it depends on the first address whether a block of one size fits again.
    code = """
import resource
import numpy as np
from training import images, loop  # as a training does, for what lies in its memory
from training.hardware import device
device()
np.ones(20_000_000, np.float32)
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(5):
    np.ones(20_000_000, np.float32)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "", "NUMPY_MADVISE_HUGEPAGE": "0",
             "PYTHONPATH": f"{WORKFLOW / 'scripts'}:{WORKFLOW}"},
    )  # fmt: skip
    assert int(run.stdout) < 50_000  # pages of 4 KiB; from the kernel they would be 97,656


def test_drawings_of_rare_things_are_learned_from_oftener():
    castle, sunny, plain = (
        Scene("mountains", things=("sun", "castle")),
        Scene("lake", things=("sun",)),
        Scene("lake"),
    )
    scenes = [castle] * 2 + [sunny] * 48 + [plain] * 50
    chances = train_denoiser.chances_of_drawings(scenes, 0.5)
    assert chances.sum() == pytest.approx(1)
    assert chances[0] / chances[-1] == pytest.approx((100 / 2) ** 0.5)
    assert chances[2] / chances[-1] == pytest.approx((100 / 50) ** 0.5)
    assert set(train_denoiser.chances_of_drawings(scenes, 0.0)) == {0.01}


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place:
        GOLDEN.write_text(json.dumps(train_all(Path(place)), indent=1) + "\n", encoding="utf-8")

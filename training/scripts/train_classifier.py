"""Train a classifier of scenes on drawings, and on drawings that went through the autoencoder."""

import json
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageFilter
from torch import nn

from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights, save_weights
from promptflux.files.whole import whole
from promptflux.images.fitting import fitted, tensor
from promptflux.images.inputs import InputSpec
from promptflux.runtime.job import note
from promptflux.script import run
from training.curve import loss_curve
from training.hardware import device, half_precision, workers
from training.loop import Training, seed_of, train
from training.world.labels import LABELS
from training.world.sampling import scene_of

SETTINGS = {
    "cnn28": {"seed": 28, "steps": 2600, "batch": 128, "learning_rate": 2e-3, "weight_decay": 0.02},
    "cnn32": {"seed": 32, "steps": 1600, "batch": 128, "learning_rate": 2e-3, "weight_decay": 0.02},
    "cnn224": {"seed": 224, "steps": 3400, "batch": 48, "learning_rate": 1e-3, "weight_decay": 0.02},
}
FINE = 0.3  # of the learning rate when a training goes on from trained weights, which large steps would shake
DECODED = 0.25  # the share of training images that went through the autoencoder
CALIBRATION = 1000  # drawings kept from training, to set the temperature of the softmax
WARMUP = 100  # steps
HALF_PRECISION = 1_000_000  # larger weights are stored as float16, which keeps a file below 15 MB


def initialize(network: Network, images: torch.Tensor) -> None:
    """He et al.'s initialization (arXiv:1502.01852), the first layer as if it saw `images` with mean 0 and spread 1.

    From PyTorch's own initialization, networks without batch normalization learn several times more slowly.
    """
    layers = [module for module in network.modules() if isinstance(module, (nn.Conv2d, nn.Linear))]
    for layer in layers:
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        nn.init.zeros_(layer.bias)
    layers[-1].weight.data.mul_(0.1)
    layers[0].weight.data.div_(images.std())
    layers[0].bias.data.sub_(images.mean() * layers[0].weight.data.flatten(1).sum(1))


def kinds(first_seed: int, count: int) -> torch.Tensor:
    """The kind of scene, as its place in LABELS, of `count` drawings from `first_seed` on."""
    return torch.tensor([LABELS.index(scene_of(first_seed + i).kind) for i in range(count)])


def disturbed(pixels: np.ndarray, rng: np.random.Generator) -> Image.Image:
    """A drawing mirrored, cropped, darkened, blurred or roughened a little, each at random."""
    picture = Image.fromarray(np.asarray(pixels))
    if rng.random() < 0.5:
        picture = picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    if rng.random() < 0.6:
        side = int(rng.integers(round(0.82 * picture.width), picture.width + 1))
        x, y = (int(v) for v in rng.integers(0, picture.width - side + 1, 2))
        picture = picture.crop((x, y, x + side, y + side))
    if rng.random() < 0.3:
        levels = np.arange(256) * rng.uniform(0.8, 1.2) + rng.uniform(-12, 12)
        picture = picture.point(levels.clip(0, 255).astype(int).tolist() * 3)
    if rng.random() < 0.2:
        picture = picture.filter(ImageFilter.GaussianBlur(rng.uniform(0.2, 1.2)))
    if rng.random() < 0.1:
        noise = rng.integers(-8, 9, (picture.height, picture.width, 1))
        picture = Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8))
    return picture


def tensors(pictures: list[Image.Image], spec: InputSpec) -> torch.Tensor:
    """The pictures as the study's own preprocessing makes them: float32 [N, C, H, W]."""
    return torch.from_numpy(np.stack([tensor(fitted(picture, spec), spec) for picture in pictures]))


@torch.no_grad()
def logits_of(network: Network, drawings: np.ndarray) -> torch.Tensor:
    """Logits [N, K] of undisturbed drawings, uint8 [N, H, W, 3]."""
    place = next(network.parameters()).device
    network.eval()
    logits = []
    for first in range(0, len(drawings), 64):
        pictures = [Image.fromarray(pixels) for pixels in drawings[first : first + 64]]
        logits.append(network(tensors(pictures, network.description.input).to(place)).cpu())
    return torch.cat(logits)


def temperature_of(logits: torch.Tensor, wanted: torch.Tensor) -> float:
    """The temperature with the least cross-entropy (Guo et al. 2017, arXiv:1706.04599), found on a grid."""
    grid = torch.logspace(-0.7, 0.7, 141)
    return float(grid[torch.stack([F.cross_entropy(logits / t, wanted) for t in grid]).argmin()])


def calibration_error(logits: torch.Tensor, wanted: torch.Tensor, bins: int = 15) -> float:
    """Expected calibration error: |confidence − accuracy| over `bins` equal bins of confidence, weighted by their size.

    torchmetrics has it too; it is not worth a dependency for these lines.
    """
    confidence, predicted = logits.softmax(1).max(1)
    where = (confidence * bins).long().clamp(max=bins - 1)
    gaps = [
        float(
            (confidence[where == b] - (predicted == wanted)[where == b].float()).mean().abs()
            * (where == b).float().mean()
        )
        for b in range(bins)
        if (where == b).any()
    ]
    return sum(gaps)


def main(
    *,
    spec: str,
    drawings: str,
    held_out: str,
    decoded: str,
    first_seeds: Sequence[int],
    weights: str,
    figures: str,
    curve: str,
    scale: float = 1.0,
    start: str | None = None,
    threads: int = 1,
) -> None:
    """Train the network of `spec`; write its `weights` (.h5), its `figures` on held-out drawings (.json) and the loss `curve`.

    decoded: the first of `drawings` as the autoencoder gives them back. first_seeds: those of `drawings` and of
    `held_out`. scale: multiplies the number of steps. start: a weights file (.h5) to go on from, instead of from
    nothing. threads: processes that make batches for a GPU.
    """
    classifier = load_spec(spec, weights_exist=False)
    settings = SETTINGS[classifier.name]
    seed = seed_of(settings["seed"], start)
    steps = max(2, round(settings["steps"] * scale))
    images, soft, unseen = (np.load(path, mmap_mode="r") for path in (drawings, decoded, held_out))
    calibration = min(CALIBRATION, len(images) // 8)
    known, kept = images[:-calibration], images[-calibration:]
    soft = soft[: len(known)]
    labels, unseen_labels = kinds(first_seeds[0], len(images)), kinds(first_seeds[1], len(unseen))

    torch.manual_seed(seed)
    network = Network(classifier).to(device(), memory_format=torch.channels_last)
    if start:
        network.load(load_weights(start, classifier))
    else:
        initialize(network, tensors([Image.fromarray(pixels) for pixels in known[:64]], classifier.input))
    network.train()

    target = device()

    def batch_of(step: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        sources = [soft if rng.random() < DECODED else known for _ in range(settings["batch"])]
        chosen = [int(rng.integers(len(source))) for source in sources]
        pictures = [disturbed(source[i], rng) for source, i in zip(sources, chosen, strict=True)]
        return tensors(pictures, classifier.input), labels[chosen]

    def loss_of_step(step: int, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        shown = batch[0].to(memory_format=torch.channels_last)
        with half_precision(target):
            logits = network(shown)
        return F.cross_entropy(logits.float(), batch[1])

    training = Training(
        name=classifier.name,
        module=network,
        optimizer=torch.optim.AdamW(
            network.parameters(),
            lr=settings["learning_rate"] * (FINE if start else 1.0),
            weight_decay=settings["weight_decay"],
        ),
        steps=steps,
        warmup=min(WARMUP, steps // 2),
        seeds=(seed,),
    )
    train(training, batch_of, loss_of_step, workers=workers(threads))

    # The temperature goes into the last layer: the softmax of the finished network is the calibrated one.
    temperature = temperature_of(logits_of(network, kept), labels[-calibration:])
    with torch.no_grad():
        last = network.get_submodule([layer.name for layer in classifier.layers if layer.kind == "dense"][-1])
        last.weight /= temperature
        last.bias /= temperature
    logits = logits_of(network, unseen)
    measured = {
        "classifier": classifier.name,
        "held_out_drawings": len(unseen),
        "accuracy": round(float((logits.argmax(1) == unseen_labels).float().mean()), 4),
        "calibration_error": round(calibration_error(logits, unseen_labels), 4),
        "accuracy_of_kind": {
            label: round(float((logits[unseen_labels == k].argmax(1) == k).float().mean()), 4)
            for k, label in enumerate(LABELS)
            if (unseen_labels == k).any()
        },
        "temperature": round(temperature, 3),
        "steps": steps,
        "seconds": round(training.seconds),
    }
    stored = {
        name: array.astype(np.float16) if array.size > HALF_PRECISION else array
        for name, array in network.weights().items()
    }
    save_weights(weights, stored, classifier.name)
    loss_curve({classifier.name: training.losses}, f"Training of {classifier.name}", curve)
    with whole(figures) as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    note(
        f"{classifier.name}: {measured['accuracy']:.1%} of {len(unseen)} held-out drawings, "
        f"calibration error {measured['calibration_error']:.1%}"
    )


if "snakemake" in globals():
    run(main, snakemake)

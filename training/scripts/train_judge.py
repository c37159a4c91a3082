"""Train the judge of generated images on drawings alone, and measure it on drawings that it never saw."""

import json
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F

from promptflux.files.whole import whole
from promptflux.runtime.job import note
from promptflux.script import run
from training.hardware import device, half_precision, workers
from training.judge import Judge, judged, save_judge, seen
from training.loop import Training, train
from training.world.facts import FACTS, facts_of_drawings, places_of

SETTINGS = {"seed": 4, "steps": 2000, "batch": 96, "learning_rate": 2e-3, "warmup": 100, "weight_decay": 0.02}


def disturbed(images: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Mirrored, shifted and softened a little, so that the judge looks at the picture and not at its pixels."""
    if rng.random() < 0.5:
        images = images.flip(-1)
    dy, dx = (int(v) for v in rng.integers(0, 7, 2))
    side = images.shape[-1]
    images = F.pad(images, (3, 3, 3, 3), mode="replicate")[..., dy : dy + side, dx : dx + side]
    if rng.random() < 0.4:
        share = rng.uniform(0.2, 1.0)
        images = (1 - share) * images + share * F.avg_pool2d(images, 3, 1, 1, count_include_pad=False)
    if rng.random() < 0.4:
        noise = rng.standard_normal(images.shape, np.float32)
        images = images + rng.uniform(0, 0.06) * torch.from_numpy(noise)
    return images


def shares_right(logits: torch.Tensor, facts: torch.Tensor) -> dict[str, float]:
    """How much of what the judge says is so: the shares of kinds and times, and the mean over all facts of the hit rate."""
    shares = {}
    for field in ("kind", "time"):
        places = places_of(field)
        shares[field] = float((logits[:, places].argmax(1) == facts[:, places].argmax(1)).float().mean())
    hits = [
        float((logits[facts[:, i] > 0, i] > 0).float().mean()) for i in range(len(FACTS)) if facts[:, i].any()
    ]
    return {**shares, "facts": float(np.mean(hits))}


def main(
    *,
    drawings: str,
    held_out: str,
    first_seeds: Sequence[int],
    judge: str,
    figures: str,
    scale: float = 1.0,
    threads: int = 1,
) -> None:
    """Train on `drawings` (.npy); write the weights `judge` (.safetensors) and `figures` on `held_out` (.json).

    first_seeds: those of `drawings` and of `held_out`. scale: multiplies the number of steps. threads: processes that make
    batches for a GPU.
    """
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    facts, unseen_facts = (
        torch.from_numpy(facts_of_drawings(seed, len(part)))
        for seed, part in zip(first_seeds, (images, unseen), strict=True)
    )
    torch.manual_seed(SETTINGS["seed"])
    network = Judge().to(device(), memory_format=torch.channels_last)

    target = device()

    def batch_of(step: int, rng: np.random.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        chosen = np.sort(rng.integers(len(images), size=SETTINGS["batch"]))
        return disturbed(seen(images[chosen]), rng), facts[chosen]

    def loss_of_step(step: int, batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        shown, wanted = batch[0].to(memory_format=torch.channels_last), batch[1]
        with half_precision(target):
            logits = network(shown)
        return sum(  # one kind, one time and one weather is always so
            F.cross_entropy(logits[:, places].float(), wanted[:, places].argmax(1))
            for places in map(places_of, ("kind", "time", "weather"))
        ) + 20 * F.binary_cross_entropy_with_logits(logits.float(), wanted)

    training = Training(
        name="judge",
        module=network,
        optimizer=torch.optim.AdamW(
            network.parameters(), lr=SETTINGS["learning_rate"], weight_decay=SETTINGS["weight_decay"]
        ),
        steps=max(2, round(SETTINGS["steps"] * scale)),
        warmup=SETTINGS["warmup"],
        seeds=(SETTINGS["seed"],),
        clipped=list(network.parameters()),
    )
    train(training, batch_of, loss_of_step, workers=workers(threads))

    network.cpu()
    _, logits = judged(network, unseen)
    measured = {
        "held_out_drawings": len(unseen),
        **{name: round(share, 4) for name, share in shares_right(logits, unseen_facts).items()},
        "steps": training.steps,
        "seconds": round(training.seconds),
    }
    save_judge(network, judge)
    with whole(figures) as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    note(
        f"judge: of {len(unseen)} unseen drawings {measured['kind']:.1%} of the kinds, "
        f"{measured['time']:.1%} of the times of day"
    )


if "snakemake" in globals():
    run(main, snakemake)

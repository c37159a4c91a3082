"""Train the judge of generated images on drawings alone, and measure it on drawings that it never saw."""

import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from promptflux.files.whole import whole
from promptflux.runtime.job import note, progress
from training.judge import Judge, judged, save_judge, seen
from training.loop import device, half_precision, learning_rate
from training.world.facts import FACTS, facts_of_drawings, places_of

SETTINGS = {"seed": 4, "steps": 2000, "batch": 96, "learning_rate": 2e-3, "weight_decay": 0.02}


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
        images = images + rng.uniform(0, 0.06) * torch.randn_like(images)
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
    drawings: Path,
    held_out: Path,
    first_seeds: tuple[int, int],
    output: Path,
    figures: Path,
    scale: float = 1.0,
) -> None:
    """Train on `drawings` (.npy); write the weights `output` (.safetensors) and `figures` on `held_out` (.json).

    `first_seeds` are those of `drawings` and `held_out`; `scale` multiplies the number of steps.
    """
    settings = {**SETTINGS, "steps": max(2, round(SETTINGS["steps"] * scale))}
    images, unseen = np.load(drawings, mmap_mode="r"), np.load(held_out, mmap_mode="r")
    facts, unseen_facts = (
        torch.from_numpy(facts_of_drawings(seed, len(part)))
        for seed, part in zip(first_seeds, (images, unseen), strict=True)
    )
    torch.manual_seed(settings["seed"])
    judge = Judge().to(device(), memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(judge.parameters(), weight_decay=settings["weight_decay"])
    begun = time.monotonic()
    for step in progress(range(settings["steps"]), "judge", "step"):
        rng = np.random.default_rng((settings["seed"], step))
        torch.manual_seed(settings["seed"] * 1_000_003 + step)
        for group in optimizer.param_groups:
            group["lr"] = learning_rate(step, settings["steps"], settings["learning_rate"], 100)
        chosen = np.sort(rng.integers(len(images), size=settings["batch"]))
        shown = disturbed(seen(images[chosen]), rng).to(device(), memory_format=torch.channels_last)
        with half_precision(shown.device):
            logits = judge(shown)
        wanted = facts[chosen].to(shown.device)
        loss = sum(
            F.cross_entropy(logits[:, places].float(), wanted[:, places].argmax(1))
            for places in map(places_of, ("kind", "time", "weather"))
        ) + 20 * F.binary_cross_entropy_with_logits(logits.float(), wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(judge.parameters(), 1.0)
        optimizer.step()

    judge.cpu()
    _, logits = judged(judge, unseen)
    measured = {
        "held_out_drawings": len(unseen),
        **{name: round(share, 4) for name, share in shares_right(logits, unseen_facts).items()},
        "steps": settings["steps"],
        "seconds": round(time.monotonic() - begun),
    }
    save_judge(judge, output)
    with whole(figures) as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    note(
        f"judge: of {len(unseen)} unseen drawings {measured['kind']:.1%} of the kinds, {measured['time']:.1%} of the times of day"
    )


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            drawings=Path(snakemake.input.drawings),
            held_out=Path(snakemake.input.held_out),
            first_seeds=tuple(snakemake.params.first_seeds),
            output=Path(snakemake.output.judge),
            figures=Path(snakemake.output.figures),
            scale=snakemake.params.scale,
        )

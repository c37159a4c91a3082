"""What generated images show of what was asked for, how far apart they are, and how far from drawings."""

import csv
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from training.world.facts import FACTS, places_of
from training.world.labels import LABELS

NEAR_IDENTICAL = 0.04  # root mean square difference of pixels in 0..1, on 32 × 32


@dataclass(frozen=True)
class Asked:
    """A prompt and the facts that its images are to show."""

    prompt: str
    facts: dict[str, str]  # of kind, time and one more field: its value

    def seen_in(self, logits: torch.Tensor) -> dict[str, torch.Tensor]:
        """For each fact, which of the images with these `logits` [N, len(FACTS)] show it: bool [N]."""
        seen = {}
        for field, value in self.facts.items():
            place = FACTS.index((field, value))
            if field in ("kind", "time", "weather"):  # one of them is always so: the likeliest
                places = places_of(field)
                seen[field] = logits[:, places].argmax(1) == places.index(place)
            else:
                seen[field] = logits[:, place] > 0
        return seen


def asked_prompts(table: str | Path) -> list[Asked]:
    """The rows of a table with the columns prompt, kind, time and shows (field=value of a third fact); cells may be empty."""
    with Path(table).open(encoding="utf-8", newline="") as file:
        return [
            Asked(
                row["prompt"],
                {field: row[field] for field in ("kind", "time") if row[field]}
                | ({row["shows"].split("=")[0]: row["shows"].split("=")[1]} if row["shows"] else {}),
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


def shares(asked: list[Asked], logits: torch.Tensor) -> dict:
    """How often the images show what was asked; `logits` [prompts × images, len(FACTS)] in the order of `asked`.

    of_prompt: how many of its images show all that a prompt asks for.
    """
    found = {"kind": [], "time": [], "third": [], "three": []}
    of_kind, of_prompt = {kind: [] for kind in LABELS}, {}
    for one, part in zip(asked, logits.chunk(len(asked)), strict=True):
        seen = one.seen_in(part)
        of_kind[one.facts["kind"]].append(seen["kind"])
        for field, shown in seen.items():
            found[field if field in ("kind", "time") else "third"].append(shown)
        of_prompt[one.prompt] = round(float(torch.stack(list(seen.values())).all(0).float().mean()), 4)
        if len(seen) == 3:
            found["three"].append(torch.stack(list(seen.values())).all(0))
    share = {name: round(float(torch.cat(shown).float().mean()), 4) for name, shown in found.items() if shown}
    kinds = {
        kind: round(float(torch.cat(shown).float().mean()), 4) for kind, shown in of_kind.items() if shown
    }
    return {**share, "of_kind": kinds, "of_prompt": of_prompt}


def third_on_drawings(asked: list[Asked], logits: torch.Tensor, facts: np.ndarray) -> float:
    """How often the judge sees the third facts of `asked` in drawings of the kind that show them, which no image can beat.

    logits, facts: [N, len(FACTS)] of drawings. The mean over the prompts; NaN if no drawing shows what one asks for.
    """
    rates = []
    for one in asked:
        for field, value in one.facts.items():
            if field in ("kind", "time"):
                continue
            places = [FACTS.index((field, value)), FACTS.index(("kind", one.facts["kind"]))]
            shown = torch.from_numpy((facts[:, places] > 0).all(1))
            if shown.any():
                rates.append(float(one.seen_in(logits)[field][shown].float().mean()))
    return round(float(np.mean(rates)) if rates else float("nan"), 4)


def distances(images: np.ndarray, prompts: int) -> np.ndarray:
    """Root mean square differences, on 32 × 32 pixels in 0..1, of the pairs of images of one prompt."""
    small = np.stack(
        [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BOX)) for image in images]
    )
    pairs = []
    for group in np.split(small.astype(np.float32) / 255, prompts):
        pairs += [float(np.sqrt(((a - b) ** 2).mean())) for i, a in enumerate(group) for b in group[:i]]
    return np.array(pairs or [np.nan])


def frechet(one: torch.Tensor, other: torch.Tensor) -> float:
    """The Fréchet distance between two sets of features [N, C], taken as normal (Heusel et al. 2017, arXiv:1706.08500)."""
    (mean_1, cov_1), (mean_2, cov_2) = ((x.double().mean(0), torch.cov(x.double().T)) for x in (one, other))
    # The trace of the root of cov_1 cov_2: the sum of the roots of its eigenvalues, which are real and not negative.
    root = torch.linalg.eigvals(cov_1 @ cov_2).real.clamp(min=0).sqrt().sum()
    return float((mean_1 - mean_2).square().sum() + cov_1.trace() + cov_2.trace() - 2 * root)

"""Measure a models/scenes on prompts that its training never saw: does it draw what it is told, and not always the same?

The judge (`train_judge`) knows drawings alone. What it cannot see in drawings it cannot see in images either, so its
own hit rate on unseen drawings stands beside every share.
"""

import csv
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from promptflux.figures.sheet import ACCENT, FAINT, INK, MUTED, QUIET
from promptflux.files.whole import whole
from promptflux.runtime.job import note, progress
from training.judge import Judge, judged, load_judge
from training.loop import device, measure
from training.world.captions import caption
from training.world.facts import FACTS, facts_of_drawings, places_of
from training.world.scenes import LABELS, sample_scene

STEPS, GUIDANCE, IMAGES, BATCH = 20, 3.0, 3, 8  # IMAGES of each prompt, BATCH at a time
SCALES = (1.0, 2.0, 3.0, 5.0, 7.5)  # guidance scales compared
CAPTIONS = 256  # captions of unseen drawings whose images are held against these drawings
NEAR_IDENTICAL = 0.04  # root mean square difference of pixels in 0..1, on 32 × 32

# A prompt, a thing that its images often show, and the negative prompt that takes it away.
NEGATIVES = (
    ("a mountain lake", "pines", "pine trees"),
    ("a lonely house in the snow", "house", "a house"),
    ("starry sky with the milky way", "milky way", "the milky way"),
    ("a volcano at night", "lava", "lava"),
    ("a volcano by day", "smoke", "smoke"),
    ("a night sky", "stars", "stars"),
)


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


def asked_prompts(table: Path) -> list[Asked]:
    """The rows of a table with the columns prompt, kind, time and shows (field=value of a third fact); cells may be empty."""
    with table.open(encoding="utf-8", newline="") as file:
        return [
            Asked(
                row["prompt"],
                {field: row[field] for field in ("kind", "time") if row[field]}
                | ({row["shows"].split("=")[0]: row["shows"].split("=")[1]} if row["shows"] else {}),
            )
            for row in csv.DictReader(file, delimiter="\t")
        ]


class Artist:
    """A pipeline that draws images of prompts."""

    def __init__(self, folder: Path, steps: int):
        self.steps = steps
        self.pipeline = DiffusionPipeline.from_pretrained(folder).to(device())
        self.pipeline.set_progress_bar_config(disable=True)

    def __call__(
        self, what: str, prompts: list[str], first_seed: int, guidance: float = GUIDANCE, negative: str = ""
    ) -> np.ndarray:
        """An image of each of `prompts`, from seeds `first_seed` on: uint8 [N, 128, 128, 3]; `what` names the progress bar."""
        images = []
        for i in progress(range(0, len(prompts), BATCH), what, "batch"):
            part = prompts[i : i + BATCH]
            made = self.pipeline(
                part,
                negative_prompt=[negative] * len(part),
                num_inference_steps=self.steps,
                guidance_scale=guidance,
                generator=[torch.Generator().manual_seed(first_seed + i + k) for k in range(len(part))],
            )
            images += [np.asarray(image) for image in made.images]
        return np.stack(images)


def shares(asked: list[Asked], logits: torch.Tensor) -> dict:
    """How often the images show what was asked; `logits` [prompts × images, len(FACTS)] in the order of `asked`."""
    found = {"kind": [], "time": [], "third": [], "three": []}
    of_kind = {kind: [] for kind in LABELS}
    for one, part in zip(asked, logits.chunk(len(asked)), strict=True):
        seen = one.seen_in(part)
        of_kind[one.facts["kind"]].append(seen["kind"])
        for field, shown in seen.items():
            found[field if field in ("kind", "time") else "third"].append(shown)
        if len(seen) == 3:
            found["three"].append(torch.stack(list(seen.values())).all(0))
    share = {name: round(float(torch.cat(shown).float().mean()), 4) for name, shown in found.items() if shown}
    kinds = {
        kind: round(float(torch.cat(shown).float().mean()), 4) for kind, shown in of_kind.items() if shown
    }
    return {**share, "of_kind": kinds}


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


def effect_of_negatives(artist: Artist, judge: Judge, count: int) -> list[dict]:
    """For each of NEGATIVES: the share of `count` images that show the thing, without and with the negative prompt."""
    effects = []
    for prompt, thing, negative in NEGATIVES:
        place = FACTS.index(("things", thing))
        shares = []
        for words in ("", negative):
            images = artist(f"not {words}" if words else prompt, [prompt] * count, 5000, negative=words)
            shares.append(float((judged(judge, images)[1][:, place] > 0).float().mean()))
        effects.append(
            {"prompt": prompt, "negative_prompt": negative, "without": shares[0], "with": shares[1]}
        )
    return effects


def sample_sheet(images: np.ndarray, asked: list[Asked], path: Path) -> None:
    """A row for each kind, with the first image of each of its prompts (PNG)."""
    side, gap, margin = images.shape[1], 8, 128
    rows = {kind: [i for i, one in enumerate(asked) if one.facts["kind"] == kind] for kind in LABELS}
    rows = {kind: places for kind, places in rows.items() if places}
    columns = max(map(len, rows.values()))
    sheet = Image.new("RGB", (margin + columns * (side + gap) + gap, len(rows) * (side + gap) + gap), "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(side // 7)
    each = len(images) // len(asked)
    for row, (kind, places) in enumerate(rows.items()):
        top = gap + row * (side + gap)
        pen.text((margin - gap, top + side / 2), kind, INK, font, anchor="rm")
        for column, place in enumerate(places):
            sheet.paste(Image.fromarray(images[place * each]), (margin + gap + column * (side + gap), top))
    with whole(path) as partial:
        sheet.save(partial, format="PNG")


def figure_of(measured: dict, path: Path) -> None:
    """Bars of the right kinds, lines of what guidance does, arrows of what negative prompts do (PNG)."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    kinds, guidance, negatives = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    of_kind = measured["of_kind"]
    kinds.barh(
        list(of_kind), list(of_kind.values()), color=[ACCENT if v >= 0.9 else QUIET for v in of_kind.values()]
    )
    kinds.invert_yaxis()
    kinds.set(title="The kind of scene that was asked for", xlabel="share of the images", xlim=(0, 1))
    for name, label, colour in (
        ("kind", "kind of scene", ACCENT),
        ("time", "time of day", "#c1762f"),
        ("third", "third attribute", MUTED),
    ):
        scales = [row["guidance_scale"] for row in measured["guidance"] if name in row]
        values = [row[name] for row in measured["guidance"] if name in row]
        guidance.plot(scales, values, "o-", color=colour, label=label, ms=4)
    guidance.set(
        title="What guidance does", xlabel="guidance scale", ylabel="share of the images", ylim=(0, 1.03)
    )
    guidance.grid(color=FAINT, lw=0.5)
    guidance.legend(frameon=False, loc="lower right", fontsize=8)
    for row, effect in enumerate(measured["negative_prompts"]):
        negatives.plot([effect["without"], effect["with"]], [row, row], color=FAINT, lw=2, zorder=1)
        negatives.plot(effect["without"], row, "o", color=QUIET, label="without" if row == 0 else None)
        negatives.plot(
            effect["with"], row, "o", color=ACCENT, label="with the negative prompt" if row == 0 else None
        )
    names = [
        f"{effect['prompt']}\n– {effect['negative_prompt'].split(',')[0]}"
        for effect in measured["negative_prompts"]
    ]
    negatives.set_yticks(range(len(names)), names)
    negatives.invert_yaxis()
    negatives.set(title="What negative prompts take away", xlabel="share that shows it", xlim=(-0.03, 1.03))
    negatives.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.3, -0.14), ncols=2, fontsize=8)
    with whole(path) as partial:
        figure.savefig(partial, format="png", dpi=110, metadata={"Software": None})


def main(
    model: Path, prompts: Path, judge: Path, judge_figures: Path, held_out: Path, first_seed: int, figures: Path, plot: Path, samples: Path,
    scale: float = 1.0,
) -> None:  # fmt: skip
    """Measure the pipeline folder `model` on the table of `prompts` and write `figures` (.json), a `plot` and a sheet of `samples` (PNG).

    `held_out` (.npy) are drawings from seed `first_seed` on. `scale` multiplies the number of images.
    """
    asked = asked_prompts(prompts)
    if scale < 1.0:
        asked = asked[:: max(1, round(len(asked) / max(4, scale * len(asked))))]
    count = max(2, round(IMAGES * min(scale, 1.0)))
    network = load_judge(judge)

    begun = time.monotonic()
    artist = Artist(model, max(2, round(STEPS * min(scale, 1.0))))
    artist("nine images", [one.prompt for one in asked[:3] for _ in range(3)], 0)
    seconds = time.monotonic() - begun

    images = artist("prompts", [one.prompt for one in asked for _ in range(count)], 1000)
    _, logits = judged(network, images)
    compared, guided = asked[::2], []
    for guidance in SCALES:
        made = artist(f"guidance {guidance:g}", [one.prompt for one in compared], 3000, guidance)
        found = shares(compared, judged(network, made)[1])
        parts = {name: found[name] for name in ("kind", "time", "third") if name in found}
        guided.append({"guidance_scale": guidance, **parts})

    unseen = np.load(held_out, mmap_mode="r")
    captions = min(len(unseen) // 2, max(8, round(CAPTIONS * min(scale, 1.0))))
    rngs = [np.random.default_rng(first_seed + i) for i in range(captions)]
    told = [caption(sample_scene(rng), rng) for rng in rngs]
    features, _ = judged(network, artist("captions", told, 7000))
    of_drawings, logits_of_drawings = judged(network, unseen)
    drawings, others = of_drawings[:captions], of_drawings[captions : 2 * captions]
    pairs = distances(images, len(asked))
    measured = {
        "prompts": len(asked),
        "images": len(images),
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        **shares(asked, logits),
        "judge_on_drawings": json.loads(judge_figures.read_text(encoding="utf-8"))
        | {"third": third_on_drawings(asked, logits_of_drawings, facts_of_drawings(first_seed, len(unseen)))},
        "guidance": guided,
        "negative_prompts": effect_of_negatives(artist, network, max(4, round(16 * min(scale, 1.0)))),
        "frechet_distance": round(frechet(features, drawings), 3),
        "frechet_distance_of_drawings": round(frechet(drawings, others), 3),
        "frechet_images": captions,
        "difference_between_seeds": round(float(np.median(pairs)), 4),
        "near_identical_pairs": int((pairs < NEAR_IDENTICAL).sum()),
        "pairs": len(pairs),
        "psnr_db": round(measure(artist.pipeline.vae, unseen[:captions])["psnr_db"], 2),
        "seconds_of_nine_images": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }
    with whole(figures) as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    figure_of(measured, plot)
    sample_sheet(images, asked, samples)
    note(
        f"scenes: {measured['kind']:.1%} of the kinds, {measured['time']:.1%} of the times of day, all three attributes in {measured.get('three', 0):.1%}"
    )


if "snakemake" in globals():
    from promptflux.runtime.job import job

    with job(snakemake):
        main(
            model=Path(snakemake.input.model),
            prompts=Path(snakemake.input.prompts),
            judge=Path(snakemake.input.judge),
            judge_figures=Path(snakemake.input.judge_figures),
            held_out=Path(snakemake.input.held_out),
            first_seed=snakemake.params.first_seed,
            figures=Path(snakemake.output.figures),
            plot=Path(snakemake.output.plot),
            samples=Path(snakemake.output.samples),
            scale=snakemake.params.scale,
        )

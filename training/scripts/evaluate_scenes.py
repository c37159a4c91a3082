"""Measure a models/scenes on prompts that its training never saw: does it draw what they ask for, and not always the same?

The judge (`train_judge`) knows drawings alone. What it cannot see in drawings it cannot see in images either, so its
own hit rate on unseen drawings stands beside every share.
"""

import json
import time
from pathlib import Path

import numpy as np
import torch
from diffusers import DiffusionPipeline
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

from promptflux.figures.sheet import ACCENT, FAINT, INK, MUTED, QUIET
from promptflux.files.whole import whole
from promptflux.runtime.job import note, progress
from promptflux.script import run
from training.evaluation import (
    NEAR_IDENTICAL,
    Asked,
    asked_prompts,
    distances,
    frechet,
    shares,
    third_on_drawings,
)
from training.hardware import device
from training.images import reconstructed, sharpness
from training.judge import Judge, judged, load_judge
from training.models import GUIDANCE, STEPS
from training.world.captions import caption
from training.world.facts import FACTS, facts_of_drawings
from training.world.labels import LABELS
from training.world.sampling import sample_scene

IMAGES, BATCH = 3, 8  # IMAGES of each prompt, BATCH at a time
SCALES = (1.0, 2.0, 3.0, 5.0, 7.5)  # guidance scales compared
CAPTIONS = 256  # captions of unseen drawings whose images are held against these drawings

# A prompt, a thing that its images often show, and the negative prompt that takes it away.
NEGATIVES = (
    ("a mountain lake", "pines", "pine trees"),
    ("a lonely house in the snow", "house", "a house"),
    ("starry sky with the milky way", "milky way", "the milky way"),
    ("a volcano at night", "lava", "lava"),
    ("a volcano by day", "smoke", "smoke"),
    ("a night sky", "stars", "stars"),
)


class Artist:
    """A pipeline that draws images of prompts."""

    def __init__(self, folder: str, steps: int):
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


def sample_sheet(images: np.ndarray, asked: list[Asked], path: str) -> None:
    """One row per kind, with the first image of each of its prompts (PNG)."""
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


def figure_of(measured: dict, path: str) -> None:
    """Bars of the right kinds, lines of what guidance does, arrows of what negative prompts do (PNG)."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    kinds, guidance, negatives = figure.subplots(1, 3, width_ratios=(1, 1, 1.1))
    of_kind = measured["of_kind"]
    kinds.barh(
        list(of_kind), list(of_kind.values()), color=[ACCENT if v >= 0.9 else QUIET for v in of_kind.values()]
    )
    kinds.invert_yaxis()
    kinds.set(title="The kind of scene that was asked for", xlabel="share of the images", xlim=(0, 1))
    for name, label, color in (
        ("kind", "kind of scene", ACCENT),
        ("time", "time of day", "#c1762f"),
        ("third", "third attribute", MUTED),
    ):
        scales = [row["guidance_scale"] for row in measured["guidance"] if name in row]
        values = [row[name] for row in measured["guidance"] if name in row]
        guidance.plot(scales, values, "o-", color=color, label=label, ms=4)
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
    *,
    model: str,
    prompts: str,
    judge: str,
    judge_figures: str,
    held_out: str,
    first_seed: int,
    figures: str,
    plot: str,
    samples: str,
    scale: float = 1.0,
) -> None:
    """Measure the pipeline folder `model` on the table of `prompts` and write `figures` (.json), a `plot` and a sheet of `samples` (PNG).

    held_out: drawings (.npy) from seed `first_seed` on. scale: multiplies the number of images.
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
    shown = min(len(unseen) // 2, max(8, round(CAPTIONS * min(scale, 1.0))))
    rngs = [np.random.default_rng(first_seed + i) for i in range(shown)]
    captions = [caption(sample_scene(rng), rng) for rng in rngs]
    features, _ = judged(network, artist("captions", captions, 7000))
    of_drawings, logits_of_drawings = judged(network, unseen)
    drawings, others = of_drawings[:shown], of_drawings[shown : 2 * shown]
    pairs = distances(images, len(asked))
    decoded, of_decoded = reconstructed(artist.pipeline.vae, unseen[:shown])
    measured = {
        "prompts": len(asked),
        "images": len(images),
        "steps": STEPS,
        "guidance_scale": GUIDANCE,
        **shares(asked, logits),
        "judge_on_drawings": json.loads(Path(judge_figures).read_text(encoding="utf-8"))
        | {"third": third_on_drawings(asked, logits_of_drawings, facts_of_drawings(first_seed, len(unseen)))},
        "guidance": guided,
        "negative_prompts": effect_of_negatives(artist, network, max(4, round(16 * min(scale, 1.0)))),
        "frechet_distance": round(frechet(features, drawings), 3),
        "frechet_distance_of_drawings": round(frechet(drawings, others), 3),
        "frechet_images": shown,
        "difference_between_seeds": round(float(np.median(pairs)), 4),
        "near_identical_pairs": int((pairs < NEAR_IDENTICAL).sum()),
        "pairs": len(pairs),
        "psnr_db": round(of_decoded["psnr_db"], 2),
        "sharpness": {
            "drawings": sharpness(unseen),
            "decoded": sharpness(decoded),
            "images": sharpness(images),
        },
        "seconds_of_nine_images": round(seconds, 1),
        "threads": torch.get_num_threads(),
    }
    with whole(figures) as partial:
        partial.write_text(json.dumps(measured, indent=2) + "\n", encoding="utf-8")
    figure_of(measured, plot)
    sample_sheet(images, asked, samples)
    note(
        f"scenes: {measured['kind']:.1%} of the kinds, {measured['time']:.1%} of the times of day, "
        f"all three attributes in {measured.get('three', 0):.1%}"
    )


if "snakemake" in globals():
    run(main, snakemake)

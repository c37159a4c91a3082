"""What has changed in a study since its last complete run, and what that makes again, in words."""

import dataclasses
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from promptflux.errors import StudyError, shown
from promptflux.generation.prompts import BESIDE_IMAGES, Prompt
from promptflux.study.finished import read_asked
from promptflux.study.variants import Grid, read_grid

MOST_NAMES = 5
EVERY_IMAGE = "every image is made again, and all that follows"
# The same in a study with variants.
IMAGES_OF_VARIANTS = (
    "every image is made again of the variants that do not set it themselves, and all that follows"
)
# What follows from another value: of the first of these keys that begins the changed one's path.
CONSEQUENCES = {
    "prompts": "the prompts are compared below",
    "images": "the images that are new are preprocessed",
    "image_labels": "what is right is counted again",
    "generator.images_per_prompt": "images that are new are made, all others are kept",
    "generator.prompts_per_job": "the batches differ; every image is kept, tensors and predictions are sorted anew",
    "generator": EVERY_IMAGE,
    "classifiers": "the classifiers that are new run",
    "engines": "the engine that is new runs",
    "export": "what is new in it is written",
    "inference": "the classifiers run again, and all that follows",
    "on_bad_image": "images that are marked as no pictures are made again, preprocessing runs again, and all that follows",
    "figures.images": "the classifiers run again for the feature maps of these images, and their figures are drawn",
    "figures.layers": "the classifiers run again to keep what these layers give, and their feature maps are drawn",
    "explain": "the classifiers say why once more, and the figures of single images are drawn",
    "figures": "the figures are drawn again, and nothing else runs but the explorer and the report",
    "map": "the images are compared and mapped again, and the report is made",
    "compare": "the comparison and the report are made again",
    "verify": "the comparison and the report are made again",
}


def asked(config: Mapping, prompts: Sequence[Prompt]) -> dict:
    """What a study asks for, as JSON: `config`, and `prompts`, each a mapping, in their order."""
    return {"config": dict(config), "prompts": [dataclasses.asdict(prompt) for prompt in prompts]}


def changes(config: Mapping, prompts: Sequence[Prompt], record: str | Path) -> list[str]:
    """A sentence for each difference to the study of `record`, a file of `asked`; none without such a file.

    A record that is damaged, or of another version, is a sentence too: it stops no run.
    """
    if not os.path.lexists(record):
        return []
    try:
        before = read_asked(record, "record of the last run")
        old, new = flat(_without_variants(before.config)), flat(_without_variants(config))
    except StudyError as error:
        return [f"{sentence} What has changed since cannot be told." for sentence in error.args]
    grids = before.grid, read_grid(config)
    sentences = []
    for key in dict.fromkeys([*old, *new]):
        if old.get(key) != new.get(key):
            follows = consequence(key)
            if follows == EVERY_IMAGE and all(grid.axes for grid in grids):
                follows = IMAGES_OF_VARIANTS
            sentences.append(f"{key} was {shown(old.get(key))} and is {shown(new.get(key))}: {follows}.")
    sentences += _variants(*grids)
    was = {row["name"]: row for row in asked(before.config, before.prompts)["prompts"]}
    now = {row["name"]: row for row in asked(config, prompts)["prompts"]}
    both = [name for name in now if name in was]
    for names, what in (
        ([name for name in now if name not in was], "new: {its} images are made"),
        (
            [name for name in both if _made_of(now[name]) != _made_of(was[name])],
            "changed: {its} images are made again",
        ),
        (
            [name for name in both if now[name]["label"] != was[name]["label"]],
            "labeled anew: what is right is counted again, and no image is made for that",
        ),
        (
            [name for name in was if name not in now],
            "gone: {its} images stay, and nothing shows them any more",
        ),
    ):
        if names:
            verb, its = ("is", "its") if len(names) == 1 else ("are", "their")
            sentences.append(f"prompts: {listed(names)} {verb} {what.format(its=its)}.")
    if both != [name for name in was if name in now]:
        sentences.append(
            "prompts: they stand in another order: no image is made again, but the gallery, the explorer and the "
            "report are, and figures.images may choose other images."
        )
    return sentences


def _made_of(row: Mapping) -> dict:
    """What the images of a prompt are made of."""
    return {column: value for column, value in row.items() if column not in BESIDE_IMAGES}


def _variants(before: Grid, now: Grid) -> list[str]:
    """What has changed in the variants of a study."""
    if not before.axes and not now.axes:
        return []
    old, new = before.variants, now.variants
    if not now.axes:
        return [
            "variants: there are none any more: the images of the generator itself are made; those of the variants stay, "
            "and nothing shows them any more."
        ]
    sentences = []
    if not before.axes:
        sentences.append(
            "variants: there were none: the images that lie in no folder of a variant stay, and nothing shows them any more."
        )
        old = {}
    for name, variant in new.items():
        if name in old and old[name].settings != variant.settings:
            was, is_ = old[name].settings.items(), variant.settings.items()
            keys = dict.fromkeys(
                key for key, value in [*was, *is_] if (key, value) not in was or (key, value) not in is_
            )
            sentences.append(
                f"variants: {name} is changed in {', '.join(keys)}: its images are made again, and those of the others are kept."
            )
    for names, what in (
        (
            [name for name in new if name not in old],
            "new: {its} images are made, and those of the others are kept",
        ),
        (
            [name for name in old if name not in new],
            "gone: {its} images stay, and nothing shows them any more",
        ),
    ):
        if names:
            verb, its = ("is", "its") if len(names) == 1 else ("are", "their")
            sentences.append(f"variants: {listed(names)} {verb} {what.format(its=its)}.")
    if not sentences and (before.axes != now.axes or list(old) != list(new)):
        sentences.append(
            "variants: they stand in another order: no image is made again, but sheets, gallery, explorer and report are."
        )
    return sentences


def _without_variants(config: Mapping) -> dict:
    return {key: value for key, value in config.items() if key not in ("variants", "axes")}


def flat(config: Mapping, prefix: str = "") -> dict[str, object]:
    """The values of nested mappings by their paths: {"a": {"b": 1}} becomes {"a.b": 1}."""
    values: dict[str, object] = {}
    for key, value in config.items():
        values |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return values


def consequence(key: str) -> str:
    """What follows from another value of a key; a key that this version does not have changes nothing by itself."""
    found = (words for start, words in CONSEQUENCES.items() if f"{key}.".startswith(f"{start}."))
    return next(found, "this version does not know it")


def listed(names: Iterable[str]) -> str:
    """The first names, and how many more there are."""
    names = list(names)
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more

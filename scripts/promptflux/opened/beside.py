"""Two finished studies beside each other: what was asked otherwise, and what that did to images, labels and metrics.

An image is compared with the one of the same prompt and the same seed, whatever both are called. Where both studies have
variants, a variant is compared with the one of its name; where one of them has some, each is compared with what the other made.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptflux.errors import StudyError, plain, reason
from promptflux.files.tables import Prediction, read_predictions
from promptflux.files.whole import sha256_of_file, whole
from promptflux.generation.prompts import image_seed, parts_of_image
from promptflux.images.opening import open_rgb
from promptflux.images.provenance import read_provenance
from promptflux.metrics.intervals import Estimate, paired_difference, share
from promptflux.metrics.table import Metric, read_metrics
from promptflux.metrics.truth import read_truth
from promptflux.paths import HERE
from promptflux.study.changes import flat
from promptflux.study.finished import Asked, Finished
from promptflux.study.variants import title_of

# Of a config, what says nothing of the study itself, or is compared under its own name.
NOT_COMPARED = ("compare", "verify", "prompts", "variants", "axes")
SAME, SAME_PIXELS, DIFFERS = "same bytes", "same pixels", "differs"
OTHER_SIZE, BROKEN, HERE_ALONE, THERE_ALONE = "another size", "cannot be read", "only here", "only there"
RIGHT = "right"  # the metric of which there is a paired difference


@dataclass(frozen=True)
class Difference:
    """What was asked or used here and there; "" for what a study does not have."""

    what: str
    here: str
    there: str


@dataclass(frozen=True)
class Pair:
    """An image here and the one of the same prompt and seed there; None for one that the other study does not have."""

    image: str | None
    other: str | None
    prompt: str
    seed: int


@dataclass(frozen=True)
class Compared:
    """A pair, and how far its pixels differ: the largest and the mean difference, 0..255; None where nothing is compared."""

    pair: Pair
    verdict: str
    largest: float | None = None
    mean: float | None = None


@dataclass(frozen=True)
class Said:
    """What a classifier in an engine says of a pair. asked: of our image, None where no truth is known, or another one there."""

    classifier: str
    engine: str
    pair: Pair
    asked: str | None
    here: Prediction
    there: Prediction


def differences(here: Finished, there: Finished) -> list[Difference]:
    """What differs in what was asked, in the networks and in what the images were made with."""
    ours, theirs = (flat(_settings(study.asked.config)) for study in (here, there))
    found = [
        Difference(key, _value(ours, key), _value(theirs, key))
        for key in dict.fromkeys([*ours, *theirs])
        if ours.get(key) != theirs.get(key)
    ]
    grids = [study.asked.grid.variants for study in (here, there)]
    found += _by_name(
        "variant", *({name: _settings_of(it.settings) for name, it in grid.items()} for grid in grids)
    )
    found += _by_name(
        "prompt", *({prompt.name: _text(prompt) for prompt in study.asked.prompts} for study in (here, there))
    )
    found += _by_name(
        "network of",
        *(
            {name: _digest(study(HERE.model(name, ".h5"))) for name in study.tables}
            for study in (here, there)
        ),
    )
    found += _by_name("images made with", *(_made_with(study) for study in (here, there)))
    return found


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key not in NOT_COMPARED}


def _value(settings: Mapping[str, Any], key: str) -> str:
    return title_of(settings[key]) if key in settings else ""


def _settings_of(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {title_of(value)}" for key, value in settings.items()) or "as the generator"


def _text(prompt: Any) -> str:
    said = [prompt.prompt, *([f"not: {prompt.negative_prompt}"] if prompt.negative_prompt else [])]
    said += [f"seed {prompt.seed}"] if prompt.seed is not None else []
    said += [f"label {prompt.label}"] if prompt.label is not None else []
    return "; ".join(said)


def _digest(model: Path) -> str:
    """Of layers and weights, for people: equal content makes equal bytes."""
    return f"layers and weights {sha256_of_file(model)[:12]}"


def _made_with(study: Finished) -> dict[str, str]:
    """What the first image says that it was made with."""
    for image in study.asked.images:
        made = read_provenance(study(HERE.image(image))).get("made_with")
        made = made if isinstance(made, dict) else {}
        return {
            str(key): title_of(value) for key, value in made.items() if key != "template"
        }  # which is its prompt's
    return {}


def _by_name(what: str, here: Mapping[str, str], there: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(f"{what} {name}".rstrip(), here.get(name, ""), there.get(name, ""))
        for name in dict.fromkeys([*here, *there])
        if here.get(name) != there.get(name) and name
    ]


def pairs(here: Asked, there: Asked) -> list[Pair]:
    """The generated images of both studies, in the order of ours; then what is only there."""
    others: dict[tuple, dict[str, str]] = {}
    for key, variant, image in _keyed(there):
        others.setdefault(key, {})[variant] = image
    found, met = [], set()
    for key, variant, image in _keyed(here):
        text, _, seed = key
        of_key = others.get(key, {})
        if variant == "":
            matches = list(of_key.values())  # each variant of theirs, or their one image
        else:
            matches = [of_key[name] for name in (variant, "") if name in of_key][:1]
        met.update(matches)
        found += [Pair(image, other, text, seed) for other in matches] or [Pair(image, None, text, seed)]
    return found + [Pair(None, image, key[0], key[2]) for key, _, image in _keyed(there) if image not in met]


def _keyed(asked: Asked) -> Iterator[tuple[tuple[str, str, int], str, str]]:
    """Of each image its prompt, negative prompt and seed; its variant; its name."""
    seed = asked.config["generator"]["seed"]
    for image, prompt in asked.images.items():
        variant, name, k = parts_of_image(image)
        own = image_seed(seed if prompt.seed is None else prompt.seed, name, k)
        yield (prompt.prompt, prompt.negative_prompt, own), variant, image


def compare_images(here: Finished, there: Finished, found: Sequence[Pair]) -> Iterator[Compared]:
    """Each pair, pixel by pixel."""
    for pair in found:
        if pair.image is None or pair.other is None:
            yield Compared(pair, HERE_ALONE if pair.image else THERE_ALONE)
            continue
        ours, theirs = here(HERE.image(pair.image)), there(HERE.image(pair.other))
        if ours.read_bytes() == theirs.read_bytes():
            yield Compared(pair, SAME, 0.0, 0.0)
            continue
        try:
            first, second = (np.asarray(open_rgb(path)[0], dtype=np.int16) for path in (ours, theirs))
        except StudyError:
            yield Compared(pair, BROKEN)
            continue
        if first.shape != second.shape:
            yield Compared(pair, OTHER_SIZE)
            continue
        apart = np.abs(first - second)
        yield Compared(pair, DIFFERS if apart.any() else SAME_PIXELS, float(apart.max()), float(apart.mean()))


def said_of_both(here: Finished, there: Finished, found: Sequence[Pair]) -> Iterator[Said]:
    """What each classifier of both studies says of each pair, and of the user's own images of one name, in each engine of both."""
    own = [image for images in here.batches.values() for image in images if image not in here.asked.images]
    theirs = {
        image for images in there.batches.values() for image in images if image not in there.asked.images
    }
    known = [pair for pair in found if pair.image and pair.other]
    known += [Pair(image, image, "", 0) for image in own if image in theirs]
    for classifier in here.tables:
        if classifier not in there.tables:
            continue
        truths = [_truth(study, classifier) for study in (here, there)]
        for engine, table in here.tables[classifier].items():
            if engine not in there.tables[classifier]:
                continue
            first, second = _said(table), _said(there.tables[classifier][engine])
            for pair in known:
                assert pair.image is not None and pair.other is not None
                asked = truths[0].get(pair.image)
                asked = asked if asked == truths[1].get(pair.other) else None
                try:
                    yield Said(classifier, engine, pair, asked, first[pair.image], second[pair.other])
                except KeyError as error:
                    raise StudyError(
                        f"{plain(there.folder)} and {plain(here.folder)}: the image {plain(error.args[0])} is in one of "
                        f"the tables of {classifier} alone; run snakemake there again."
                    ) from None


def _said(table: Path) -> dict[str, Prediction]:
    try:
        return {row.image: row for row in read_predictions(table)}
    except (ValueError, TypeError) as error:
        raise StudyError(f"{plain(table)}: the table of predictions is damaged ({reason(error)}).") from None


def _truth(study: Finished, classifier: str) -> dict[str, str | None]:
    path = study(HERE.truth(classifier))
    try:
        return {image: asked.label for image, asked in read_truth(path).items()}
    except (ValueError, TypeError) as error:
        raise StudyError(f"{plain(path)}: the table of truth is damaged ({reason(error)}).") from None


@dataclass(frozen=True)
class Beside:
    """A metric here and there. low, high: of their intervals, None where there is none; there is None where only one study has it."""

    classifier: str
    what: str
    engine: str
    variant: str
    label: str
    other: str
    here: Estimate | None
    there: Estimate | None


def metrics_beside(here: Finished, there: Finished, said: Sequence[Said]) -> Iterator[Beside]:
    """The metrics of both studies, a classifier after the other; then what is right of the images that both have, paired."""
    for classifier in here.tables:
        if classifier not in there.tables:
            continue
        ours, theirs = (_metrics(study, classifier) for study in (here, there))
        for key in dict.fromkeys([*ours, *theirs]):
            yield Beside(classifier, *key, ours.get(key), theirs.get(key))
    groups: dict[tuple[str, str], list[Said]] = {}
    for row in said:
        if row.asked is not None:
            groups.setdefault((row.classifier, row.engine), []).append(row)
    for (classifier, engine), rows in groups.items():
        first = np.array([row.here.predicted == row.asked for row in rows])
        second = np.array([row.there.predicted == row.asked for row in rows])
        shares = [share(int(right.sum()), len(rows)) for right in (first, second)]
        yield Beside(classifier, f"{RIGHT}, of the images of both", engine, "", "", "", *shares)
        apart = paired_difference(first, second)
        yield Beside(classifier, f"{RIGHT}, here less there", engine, "", "", "", apart, None)


def _metrics(study: Finished, classifier: str) -> dict[tuple[str, str, str, str, str], Estimate]:
    path = study(HERE.metrics(classifier))
    try:
        rows: list[Metric] = read_metrics(path)
    except (ValueError, TypeError) as error:
        raise StudyError(f"{plain(path)}: the table of metrics is damaged ({reason(error)}).") from None
    return {
        (it.what, it.engine, it.variant, it.label, it.other): Estimate(it.value, it.low, it.high, it.n)
        for it in rows
    }


def in_turns(compared: Sequence[Compared]) -> Iterator[tuple[str, str, str, str]]:
    """The pairs with images on both sides, the first of each prompt, then the second of each, ...

    Of each a title, both images, and what came of it.
    """
    of_prompt: dict[str, list[tuple[str, str, str, str]]] = {}
    for it in compared:
        if (image := it.pair.image) and (other := it.pair.other):
            title = image if image == other else f"{image} and {other}"
            verdict = f"differ by {it.mean:.3g} of 255 on average" if it.verdict == DIFFERS else it.verdict
            of_prompt.setdefault(it.pair.prompt, []).append((title, image, other, verdict))
    for turn in range(max(map(len, of_prompt.values()), default=0)):
        yield from (row[turn] for row in of_prompt.values() if turn < len(row))


def summary(found: Sequence[Difference], compared: Sequence[Compared], changed: int, said: int) -> str:
    """The comparison in a sentence."""
    both = [it for it in compared if it.pair.image and it.pair.other]
    same = sum(it.verdict in (SAME, SAME_PIXELS) for it in both)
    return (
        f"what was asked and used differs in {len(found):,} {'place' if len(found) == 1 else 'places'}; of {len(both):,} images of the same prompt and seed {same:,} are "
        f"the same; {changed:,} of {said:,} labels changed."
    )


# Tables

DIFFERENCES = ("what", "here", "there")
IMAGES = ("image", "image_there", "prompt", "image_seed", "verdict", "largest_difference", "mean_difference")
LABELS = (
    *("classifier", "engine", "image", "image_there", "asked", "label", "label_there", "confidence"),
    "confidence_there",
)
METRICS = (
    *("classifier", "metric", "engine", "variant", "label", "other"),
    *(f"{column}{where}" for where in ("", "_there") for column in ("value", "low", "high", "n")),
)


def write_differences(path: str | Path, found: Sequence[Difference]) -> None:
    _write(path, DIFFERENCES, ([it.what, it.here, it.there] for it in found))


def write_images(path: str | Path, found: Sequence[Compared]) -> None:
    _write(
        path,
        IMAGES,
        (
            [it.pair.image, it.pair.other, it.pair.prompt, it.pair.seed, it.verdict, it.largest, it.mean]
            for it in found
        ),
    )


def write_labels(path: str | Path, said: Sequence[Said]) -> int:
    """Write a row for each pair whose label changed; how many there are."""
    changed = [row for row in said if row.here.predicted != row.there.predicted]
    _write(path, LABELS, map(_label_cells, changed))
    return len(changed)


def _label_cells(it: Said) -> list[Any]:
    pair, here, there = it.pair, it.here, it.there
    said = [here.predicted, there.predicted, here.confidence, there.confidence]
    return [it.classifier, it.engine, pair.image, pair.other, it.asked, *said]


def write_metrics_beside(path: str | Path, found: Sequence[Beside]) -> None:
    def numbers(it: Estimate | None) -> list[Any]:
        return [it.value, it.low, it.high, it.n] if it else [None] * 4

    _write(
        path,
        METRICS,
        (
            [
                it.classifier,
                it.what,
                it.engine,
                it.variant,
                it.label,
                it.other,
                *numbers(it.here),
                *numbers(it.there),
            ]
            for it in found
        ),
    )


def _write(path: str | Path, columns: Sequence[str], rows: Any) -> None:
    with whole(path) as partial:
        lines = (columns, *([_cell(value) for value in row] for row in rows))
        text = "".join("\t".join(line) + "\n" for line in lines)
        partial.write_text(text, encoding="utf-8", errors="replace", newline="\n")


def _cell(value: Any) -> str:
    """A value in one cell: text on one line, numbers with six digits, "" for None."""
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else " ".join(str(value).split())

"""The metrics of a study in words: what is known, what is right, and which differences are any."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from promptflux.metrics.table import GENERATED, MOST_COMPARED, OWN, TOP, Metric, read_metrics
from promptflux.metrics.truth import NONE_NAMED, OTHER_LABEL, OWN_IMAGES, TEST_PATTERN

MOST_STATEMENTS = 12  # on differences; the table has them all
MOST_ROWS = 40  # of labels, and of variants
WIDE = 0.2  # a share whose 95% interval is wider is said to be known badly: so it is with fewer than some 100 images

REASONS = {
    NONE_NAMED: "whose prompt names none of its labels",
    OTHER_LABEL: "whose label it does not have",
    OWN_IMAGES: "of your own without a label",
    TEST_PATTERN: "that could not be read",
}
GROUPS = {"": "all images", GENERATED: "generated images", OWN: "your own images"}
COLUMNS = {"right": "right", f"top {TOP}": "top", "confidence": "confidence", "calibration error": "error"}


def read_numbers(name: str, table: str | Path, engines: Sequence[str]) -> dict[str, Any]:
    """What the page shows of the metrics of the classifier `name`, in the first of `engines`.

    `images`, `known`: how many there are, and how many have a known label. `left_out`: a sentence on the others. `wide`: one
    on wide intervals, or "". `groups`: of all images, of those of the user's own and of each variant `title`, `is_variant`, `images` and
    the metrics of COLUMNS, None where there is none. `group_count`: how many groups there are. `labels`: of each label that
    occurs `recall` and `precision`. `statements`: on differences between variants; `compared`, `distinct`: of how many,
    and how many of them are any; `level`: of each interval; `first`: the variant that all others are compared with, "" if all
    pairs are. `classifiers`, `engines`: name -> how often it agrees.
    """
    rows = [row for row in read_metrics(table) if row.engine == engines[0]]
    groups = list(dict.fromkeys(row.variant for row in rows if row.what == "images"))
    by_group = {group: [row for row in rows if row.variant == group] for group in groups}
    of_all = {(row.what, row.label): row for row in by_group[""] if not row.other}
    images = of_all["images", ""].n
    right = of_all.get(("right", ""))
    differences = [row for row in rows if row.what == "difference of right"]
    distinct = [row for row in differences if is_distinct(row)]
    few = len(differences) <= MOST_STATEMENTS
    variants = [group for group in groups if group not in GROUPS]
    return {
        "name": name,
        "images": images,
        "known": right.n if right else 0,
        "left_out": left_out_sentence(by_group[""], images),
        "wide": wide_sentence([row for row in rows if row.what == "right"]),
        "groups": [_group(group, by_group[group]) for group in groups[:MOST_ROWS]],
        "group_count": len(groups),
        "labels": _labels(by_group[""])[:MOST_ROWS],
        "label_count": len(_labels(by_group[""])),
        "statements": [statement(row) for row in (differences if few else distinct)[:MOST_STATEMENTS]],
        "compared": len(differences),
        "distinct": len(distinct),
        "level": differences[0].level if differences else None,
        "first": variants[0] if len(variants) > MOST_COMPARED else "",
        "classifiers": _agreements(by_group[""], "agreement of classifiers"),
        "engines": _agreements(by_group[""], "agreement of engines"),
    }


def _group(group: str, rows: Sequence[Metric]) -> dict[str, Any]:
    of_group = {row.what: row for row in rows if not row.label and not row.other}
    return {
        "title": GROUPS.get(group, group),
        "is_variant": group not in GROUPS,
        "images": of_group["images"].n,
        **{key: of_group.get(what) for what, key in COLUMNS.items()},
    }


def _labels(rows: Sequence[Metric]) -> list[dict[str, Any]]:
    """Recall and precision of each label, those asked most often first."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row.what in ("precision", "recall"):
            of_label = found.setdefault(row.label, {"label": row.label, "precision": None, "recall": None})
            of_label[row.what] = row
    return sorted(found.values(), key=lambda it: -(it["recall"].n if it["recall"] else 0))


def _agreements(rows: Sequence[Metric], what: str) -> dict[str, dict[str, Metric | None]]:
    kappas = {row.other: row for row in rows if row.what == f"{what} (kappa)"}
    return {row.other: {"share": row, "kappa": kappas.get(row.other)} for row in rows if row.what == what}


def left_out_sentence(rows: Sequence[Metric], images: int) -> str:
    """How many images are left out, and why; "" if none is."""
    left = [row for row in rows if row.what == "left out"]
    if not left:
        return ""
    reasons = ", ".join(f"{row.value:,.0f} {REASONS[row.label]}" for row in left)
    count = int(sum(row.value for row in left))
    if count == images:
        return f"No image has a known label: {reasons}."
    have, are = ("has", "is") if count == 1 else ("have", "are")
    return f"{count:,} of {images:,} images {have} no known label, and {are} left out: {reasons}."


def wide_sentence(shares: Sequence[Metric]) -> str:
    """What is said of the widest interval of the shares that are right; "" if that is not wide."""
    widths = [(it.high - it.low, it) for it in shares if it.low is not None and it.high is not None]
    width, it = max(widths, key=lambda pair: pair[0], default=(0.0, None))
    if it is None or width <= WIDE:
        return ""
    images = "1 image" if it.n == 1 else f"{it.n:,} images"
    of = GROUPS.get(it.variant, f"those of {it.variant}")
    return (
        f"With few images the numbers are wide: of {images} ({of}) the share that is right may be anything from "
        f"{it.low:.0%} to {it.high:.0%}."
    )


def is_distinct(row: Metric) -> bool:
    """Whether the interval of a difference leaves out none."""
    return row.low is not None and row.high is not None and not row.low <= 0 <= row.high


def statement(row: Metric) -> dict[str, Any]:
    """A difference between two variants as a sentence: `text`, and whether it `is_any`."""
    assert row.low is not None and row.high is not None
    pairs = f"{row.n:,} pair{'' if row.n == 1 else 's'}"
    if not is_distinct(row):
        return {
            "is_any": False,
            "text": f"{row.variant} and {row.other}: the difference is not distinguishable from none with {pairs} "
            f"({points(row.low)} to {points(row.high)} points).",
        }
    more, less, value, low, high = row.variant, row.other, row.value, row.low, row.high
    if value < 0:
        more, less, value, low, high = less, more, -value, -high, -low
    return {
        "is_any": True,
        "text": f"{more} is right more often than {less}: by {points(value)} points ({points(low)} to {points(high)}) "
        f"with {pairs}.",
    }


def points(share: float) -> str:
    """A difference of shares in points of a hundred, with a true minus."""
    return f"{100 * share:.1f}".replace("-0.0", "0.0").replace("-", "\u2212")

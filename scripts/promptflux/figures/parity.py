"""How far two engines differ, layer by layer and probability by probability."""

from collections.abc import Sequence

import numpy as np

from promptflux.classifiers.parity import LAYER_FAILS, PROBABILITY_FAILS, LayerDifference, Parity
from promptflux.figures.sheet import ACCENT, ALARM, FAINT, MUTED, Sheet, head


def draw(parity: Parity, classifier: str) -> Sheet:
    """The difference of each layer, and the probabilities of both engines against each other."""
    rows = parity.parts
    tall = max(2.6, 0.24 * len(rows) + 0.3)
    alarm = (
        "The engines do not agree; the log of the parity rule says where it begins." if parity.failed else ""
    )
    top = head(alarm) + 0.25
    sheet = Sheet(9.0, top + tall + 0.65)
    sheet.title(
        f"{' and '.join(parity.titles)} on {classifier}",
        f"{parity.images} images, {sum(layer.images > 0 for layer in parity.layers)} layers compared "
        f"on {max((layer.images for layer in parity.layers), default=0)} of them",
        alarm,
    )
    draw_layers(sheet.axes(1.3, top, 3.9, tall), rows)
    axes = sheet.axes(6.1, top, min(2.6, tall), min(2.6, tall))
    draw_probabilities(axes, np.concatenate(parity.pairs, axis=1), parity.titles)
    return sheet


def draw_layers(axes, rows: Sequence[LayerDifference]) -> None:
    """A dot a layer on a logarithmic scale; what is exactly equal stands at its left end."""
    floor, ceiling = 1e-9, 10.0
    for position, row in enumerate(rows):
        if not row.images:
            axes.text(floor * 2, position, "not compared", fontsize=7, color=MUTED, va="center")
            continue
        color = ACCENT if row.verdict == "ok" else ALARM
        value = float(np.clip(row.rel_diff, floor, ceiling))
        axes.plot([floor, value], [position] * 2, color=FAINT, linewidth=1, zorder=1)
        axes.plot([value], [position], "o", color=color, markersize=5, clip_on=False, zorder=3)
        if row.abs_diff == 0:
            axes.text(floor * 2, position, "equal to the last bit", fontsize=7, color=MUTED, va="center")
    axes.set_xscale("log")
    axes.set_xlim(floor, ceiling)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [row.name for row in rows])
    axes.axvline(LAYER_FAILS, color=MUTED, linewidth=0.7, linestyle=(0, (4, 3)), zorder=0)
    axes.text(LAYER_FAILS, -0.7, "more fails", fontsize=7, color=MUTED, ha="center", va="bottom")
    axes.set_xlabel("largest difference / largest value of the layer")


def draw_probabilities(axes, probabilities: np.ndarray, titles: Sequence[str]) -> None:
    """The reference's probabilities against the engine's, [2, N, K]; equal ones lie on the diagonal."""
    reference, engine = (part.ravel() for part in probabilities)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, zorder=0)
    agree = np.abs(reference - engine) <= PROBABILITY_FAILS
    for chosen, color in ((agree, ACCENT), (~agree, ALARM)):
        axes.plot(
            reference[chosen], engine[chosen], "o", color=color, markersize=3, alpha=0.5, markeredgewidth=0
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    axes.set_xlabel(f"probability in {titles[1]}")
    axes.set_ylabel(f"probability in {titles[0]}")

"""The figures of the engines' differences and of the time: what stands out is what differs, or took long."""

import numpy as np
import pytest
from PIL import Image
from support.drawn_study import STYLE, has_color, pixels

from promptflux.classifiers.parity import LayerDifference, Parity
from promptflux.figures.of_study import confusion, gallery, parity, reliability, where_the_time_went
from promptflux.figures.sheet import ACCENT, ALARM, Style

DPI = 60


def test_each_says_how_to_read_it():
    for module in (confusion, gallery, parity, reliability, where_the_time_went):
        assert len(module.CAPTION) > 60 and module.TITLE
    assert gallery.CAPTION_WITHOUT_PROMPTS != gallery.CAPTION


def draw_times(folder, jobs: dict[str, list[float]]) -> np.ndarray:
    times = [{"name": name, "jobs": seconds, "seconds": sum(seconds)} for name, seconds in jobs.items()]
    where_the_time_went.draw(times, Style(colormap="viridis", dpi=DPI)).save(folder / "times.png")
    with Image.open(folder / "times.png") as picture:
        assert picture.info["dpi"] == pytest.approx((DPI, DPI), abs=0.02)
    return pixels(folder / "times.png")


def test_a_bar_is_as_long_as_its_stage_took(tmp_path):
    shown = draw_times(tmp_path, {"Generating": [30.0], "Inference": [10.0, 5.0], "Nothing": [0.0]})
    bar = tuple(bytes.fromhex(ACCENT[1:]))
    longest = {y: int((row == bar).all(axis=1).sum()) for y, row in enumerate(shown)}
    lengths = sorted({length for length in longest.values() if length > 10})
    assert lengths[-1] / lengths[-2] == pytest.approx(2, rel=0.05)
    assert lengths[-1] == pytest.approx(4.6 * DPI / 1.05, rel=0.03)


def test_no_stage_at_all_is_drawn_too(tmp_path):
    assert draw_times(tmp_path, {}).shape[1] == pytest.approx(8.2 * DPI, abs=1)


def difference(name: str, by: float | None) -> LayerDifference:
    """A layer in which the engines differ by a part `by` of its values; None if it was not compared."""
    layer = LayerDifference(name, (4,))
    if by is not None:
        layer.add(np.ones((2, 4)), np.ones((2, 4)) * (1 + by))
    return layer


@pytest.mark.parametrize("by", [1e-7, 0.1, np.inf])
def test_a_layer_that_differs_is_red(tmp_path, by):
    found = Parity(
        titles=["Flux", "PyTorch"],
        layers=[difference("conv1", 0.0), difference("dense1", by), difference("dropout1", None)],
        logits=difference("logits", 0.0),
        probabilities=difference("probabilities", 0.0),
        images=2,
        pairs=[np.full((2, 2, 4), 0.25)],
    )
    found.judge()
    parity.draw(found, "small", Style(**STYLE)).save(tmp_path / "parity.png")
    assert has_color(tmp_path / "parity.png", ALARM) == (by > 1e-5)
    assert has_color(tmp_path / "parity.png", ACCENT)

"""The map: each image a dot in the color of what it is, however many there are."""

import numpy as np
import pytest
from support.drawn_study import STYLE, has_color, pixels

from promptflux.figures.of_study.map_of_images import COLORS, OTHERS, OWN, draw
from promptflux.figures.sheet import INK, Style

AXES = ("component 1", "component 2")


def drawn(folder, places, panels, own=None, **more) -> np.ndarray:
    own = [False] * len(places) if own is None else own
    path = folder / "map.png"
    draw(
        np.asarray(places, float), panels, own, AXES, "small", "PCA", Style(**{**STYLE, "dpi": 60}), **more
    ).save(path)
    return pixels(path)


def test_nine_images_and_three_thousand(tmp_path):
    """Ten colors are told apart; what is beyond is gray, and the legend says how much that is."""
    few = [f"p{k % 3}" for k in range(9)]
    shape = drawn(tmp_path, np.random.default_rng(0).normal(size=(9, 2)), {"by prompt": few}).shape
    assert all(has_color(tmp_path / "map.png", color) for color in COLORS[:3])  # of the legend
    assert not has_color(tmp_path / "map.png", COLORS[3]) and not has_color(tmp_path / "map.png", OTHERS)
    many = [f"$x_{k % 200}$ and a long name" for k in range(3000)]
    larger = drawn(tmp_path, np.random.default_rng(0).normal(size=(3000, 2)), {"by prompt": many}).shape
    assert all(has_color(tmp_path / "map.png", color) for color in (*COLORS, OTHERS))
    assert larger[1] == shape[1] and larger[0] < shape[0] + 1.0 * 60


def test_a_label_has_one_color_in_two_panels(tmp_path):
    panels = {"by the label asked": ["sea", "sea", "", ""], "by the label seen": ["city"] * 4}
    places = [(0, 0), (1, 1), (2, 2), (3, 3)]

    def firsts(**more) -> list[bool]:
        """Whether a panel has the first of the colors."""
        picture = drawn(tmp_path, places, panels, **more)
        first = (picture == tuple(bytes.fromhex(COLORS[0][1:]))).all(axis=2)
        return [bool(half.any()) for half in np.array_split(first, 2, axis=1)]

    assert firsts() == [True, True]
    assert firsts(alike=list(panels)) == [False, True]  # more are seen as a city than are asked to be the sea


@pytest.mark.parametrize("number", [1, 2, 3, 4])
def test_four_panels_stand_two_by_two(tmp_path, number):
    panels = {f"by {k}": ["a", OWN] for k in range(number)}
    height, width, _ = drawn(tmp_path, [(0, 0), (1, 2)], panels, own=[False, True]).shape
    assert (height > width) == (number in (1, 4))
    assert has_color(tmp_path / "map.png", INK)  # of a diamond


@pytest.mark.parametrize("places", [[], [(0, 0)], [(0, 0)] * 5, [(1e-7, 0), (0, 1e9)]])
def test_places_of_every_kind_are_drawn(tmp_path, places):
    assert drawn(tmp_path, np.reshape(places, (-1, 2)), {"by the label seen": ["a"] * len(places)}).size

"""The gallery: every text and every count of images has its place."""

import gallery
import numpy as np
from support.drawn_study import HOSTILE, STYLE, has_color, pixels

from promptflux.figures.of_study.gallery import Group, summary
from promptflux.figures.sheet import FAINT


def hang(tmp_path, source, counts: dict[str, int], **style) -> np.ndarray:
    """The gallery of rows with so many images, all of them `source`."""
    rows = [
        {
            "name": name,
            "images": [f"{name}_{k}" for k in range(count)],
            "captions": [HOSTILE.get(name, f"{name} {k}") for k in range(count)],
            "count": count,
        }
        for name, count in counts.items()
    ]
    figure = tmp_path / "gallery.png"
    sources = {image: str(source) for row in rows for image in row["images"]}
    gallery.main(rows=rows, sources=sources, total=len(rows), figure=str(figure), style=STYLE | style)
    return pixels(figure)


def test_the_gallery_takes_every_text_and_every_count(tmp_path, photo):
    one = hang(tmp_path, photo, {"plain": 1})
    many = hang(tmp_path, photo, dict.fromkeys(HOSTILE, 3))
    mixed = hang(tmp_path, photo, {"plain": 3, "money": 30, "your own images": 70})
    assert one.shape[1] < many.shape[1]  # nine prompts hang in two columns
    assert mixed.shape[0] > many.shape[0]  # of 70 images with a name each, eight lines


def test_the_pictures_are_the_images(tmp_path, photo):
    """The only image fills its place on the wall: 1.9 inches of its longer side, at (0.3, 1.09) inches."""
    from promptflux.images.thumbnails import thumbnail

    wall = hang(tmp_path, photo, {"plain": 1}, dpi=100)
    small = np.asarray(thumbnail(photo, 190))
    top = next(y for y in range(90, 130) if (wall[y, 30 : 30 + small.shape[1]] == small[0]).all())
    assert np.array_equal(wall[top : top + small.shape[0], 30 : 30 + small.shape[1]], small)


def test_the_gallery_is_the_same_bytes_each_time(tmp_path, photo):
    hang(tmp_path, photo, {"plain": 3, "emoji": 2})
    first = (tmp_path / "gallery.png").read_bytes()
    hang(tmp_path, photo, {"plain": 3, "emoji": 2})
    assert (tmp_path / "gallery.png").read_bytes() == first


def test_a_picture_that_cannot_be_read_leaves_a_gap(tmp_path, photo):
    hang(tmp_path, photo, {"plain": 2})
    assert not has_color(tmp_path / "gallery.png", FAINT)
    hang(tmp_path, tmp_path / "absent.png", {"plain": 2})
    assert has_color(tmp_path / "gallery.png", FAINT)


def test_the_gallery_says_what_it_leaves_out():
    groups = [Group(f"p{number}", ["x.png"], ["text"], 1) for number in range(24)]
    assert summary(groups, total=30) == "24 of 30 prompts shown"
    assert summary(groups[:3], total=3) == "3 images of 3 prompts"
    own = Group("own", ["a.png", "b.png"], ["a", "b"], 2)
    assert summary([*groups[:1], own], total=2) == "3 images"

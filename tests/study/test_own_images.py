"""The user's own images: none is left out without a word, none counts twice, none fails after an hour."""

import os
import time

import pytest
from PIL import Image

from promptflux.errors import StudyError
from promptflux.study.own_images import list_images


def touch(folder, *names, kind="PNG"):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (2, 2)).save(path, format=kind)


def listed(setting, *folders) -> list[str]:
    return [str(image.path) for image in list_images(setting, folders)]


@pytest.mark.parametrize("suffix", ["jfif", "JPE", "jif", "apng", "Jpeg"])
def test_every_name_of_what_is_opened_is_taken(tmp_path, suffix):
    touch(tmp_path, f"photos/a.{suffix}")
    assert listed("photos", tmp_path) == listed("photos/*", tmp_path) == [f"photos/a.{suffix}"]
    assert listed(f"photos/a.{suffix}", tmp_path) == [f"photos/a.{suffix}"]


def test_the_content_decides_where_the_suffix_says_nothing(tmp_path):
    touch(tmp_path, "photos/IMG_0001", "photos/b.image", "photos/c.png")
    (tmp_path / "photos/notes.txt").write_text("words")
    (tmp_path / "photos/empty").write_text("")
    assert listed("photos", tmp_path) == ["photos/IMG_0001", "photos/b.image", "photos/c.png"]
    assert listed("photos/b.image", tmp_path) == ["photos/b.image"]


@pytest.mark.parametrize("setting", ["photos", "photos/*"])
@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("b.tiff", b"II*\0", "TIFF"),
        ("b.HEIC", b"\0\0\0\x18ftypheic", "HEIC"),
        ("b.avif", b"", ".avif"),
        ("b.nef", b"MM\0*", "TIFF"),
        ("b", b"GIF89a", "GIF"),
    ],
)
def test_an_image_that_is_not_opened_is_not_left_out_without_a_word(tmp_path, setting, name, content, kind):
    touch(tmp_path, "photos/a.png")
    (tmp_path / "photos" / name).write_bytes(content)
    with pytest.raises(StudyError, match=rf"where 'photos/{name}' \({kind}\) would be left out") as caught:
        list_images(setting, [tmp_path])
    assert "pattern such as photos/*.jpg" in str(caught.value)
    assert listed("photos/*.png", tmp_path) == ["photos/a.png"]
    with pytest.raises(StudyError, match="not a PNG, JPEG or WebP file"):
        list_images(f"photos/{name}", [tmp_path])


@pytest.mark.parametrize("setting", ["photos", "photos/*", "photos/b.jpg", ["photos", "photos/b.jpg"]])
def test_a_link_to_nothing_is_named(tmp_path, setting):
    touch(tmp_path, "photos/a.png")
    (tmp_path / "photos/b.jpg").symlink_to("/gone/b.jpg")
    (tmp_path / "photos/notes.txt").symlink_to("/gone/notes.txt")
    with pytest.raises(StudyError) as caught:
        list_images(setting, [tmp_path])
    assert caught.value.args == ("'photos/b.jpg' is a link to '/gone/b.jpg', which is not there.",)


def test_a_file_counts_once_by_whichever_path(tmp_path):
    touch(tmp_path, "photos/z.png", "photos/other.png")
    (tmp_path / "photos/a.png").symlink_to("z.png")
    os.link(tmp_path / "photos/z.png", tmp_path / "photos/hard.png")
    (tmp_path / "linked").symlink_to("photos")
    setting = ["linked", "photos", "./photos/../photos/z.png", str(tmp_path / "photos/z.png"), "photos/*"]
    assert listed(setting, tmp_path) == ["photos/hard.png", "photos/other.png"]
    assert listed(["photos/a.png"], tmp_path) == ["photos/a.png"]
    assert len(listed("linked", tmp_path)) == 2


def test_a_photo_from_the_future_is_named_before_anything_runs(tmp_path):
    touch(tmp_path, "photos/a.png", "photos/b.png", "photos/c.png")
    soon, late = time.time() + 3600, 2.0**40
    os.utime(tmp_path / "photos/a.png", (soon, soon))
    os.utime(tmp_path / "photos/c.png", (late, late))
    with pytest.raises(StudyError) as caught:
        list_images("photos", [tmp_path])
    first, second = caught.value.args
    assert (
        first.startswith("'photos/a.png' is dated 20")
        and "which is in the future; give it the time of now" in first
    )
    assert second.startswith("'photos/c.png' is dated ")


@pytest.mark.parametrize(
    "name", ["a\x1b[31m.png", "a\x07.png", "line\nbreak.png", "tab\t.png", "a\x9b1m.png", "a\x7f.png"]
)
def test_control_characters_reach_neither_terminal_nor_page(tmp_path, name):
    for setting, path in (("photos", f"photos/{name}"), (f"{name}/x.png", f"{name}/x.png")):
        touch(tmp_path, path)
        with pytest.raises(
            StudyError, match="control character in the path; rename the file or folder"
        ) as caught:
            list_images(setting, [tmp_path])
        assert str(caught.value).isprintable()


@pytest.mark.parametrize("entry", ["x" * 300 + ".png", "a\0b.png", "photos/" * 900 + "a.png", "loop/a.png"])
def test_a_path_that_cannot_be_looked_up_is_a_sentence(tmp_path, entry):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StudyError, match="config.yaml: images names") as caught:
        list_images(entry, [tmp_path])
    assert len(caught.value.args) == 1


def test_a_pipe_is_no_image(tmp_path):
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(StudyError, match="no such file"):
        list_images("a.png", [tmp_path])

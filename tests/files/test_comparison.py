"""Files that appear whole, their sums, and files beside those of another run."""

import hashlib
import os
import subprocess

import h5py
import numpy as np
import pytest
from PIL import Image

from promptflux.errors import StudyError
from promptflux.files.checksums import read_checksums, write_checksums
from promptflux.files.comparison import compare, summary
from promptflux.files.hdf5 import open_hdf5, read_texts, read_values, write_texts, write_values
from promptflux.files.whole import clear_partial_files, sha256_of_file, sha256_of_text, whole

HEADER = "image\tprompt\tpredicted\tconfidence\tforest\tcity\n"


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new" / "table.tsv"
    with pytest.raises(KeyError), whole(path) as partial:
        partial.write_text("half")
        assert (partial.parent, partial.suffix) == (path.parent, ".tsv")
        raise KeyError
    assert list(path.parent.iterdir()) == []
    with whole(path) as partial:
        partial.write_text("all")
        assert not path.exists()
    with pytest.raises(KeyError), whole(path) as partial:
        partial.write_text("half")
        raise KeyError
    assert [(file.name, file.read_text()) for file in path.parent.iterdir()] == [("table.tsv", "all")]


def test_what_a_killed_run_left_is_cleared_away(tmp_path):
    path = tmp_path / "images" / "image.png"
    with whole(path) as partial:
        left = partial
        partial.write_text("x")
    left.write_text("half")  # as after a kill
    clear_partial_files(tmp_path)
    assert os.listdir(path.parent) == ["image.png"]


def test_two_that_write_one_file_do_not_meet(tmp_path):
    path = tmp_path / ("a long name " * 20 + ".png")
    with whole(path) as one, whole(path) as other:
        one.write_text("one")
        other.write_text("other")
        assert one != other and one.read_text() == "one"
    assert path.read_text() == "one" and os.listdir(tmp_path) == [path.name]


def test_sums_are_those_of_sha256sum(tmp_path):
    names = ["a file.txt", "🌲.txt"]
    for name in names:
        (tmp_path / name).write_text(f"{name} $5")
    write_checksums(tmp_path / "sums", {name: sha256_of_file(tmp_path / name) for name in names})
    assert read_checksums(tmp_path / "sums") == {
        name: hashlib.sha256(f"{name} $5".encode()).hexdigest() for name in names
    }
    assert sha256_of_text("🌲.txt $5") == sha256_of_file(tmp_path / "🌲.txt")
    check = subprocess.run(["sha256sum", "--check", "--quiet", "sums"], cwd=tmp_path)
    assert check.returncode == 0
    (tmp_path / "bad").write_text(f"{'0' * 64}  fine\n{'0' * 63}  short\n")
    with pytest.raises(StudyError, match="bad, line 2: this is not 64 hexadecimal digits"):
        read_checksums(tmp_path / "bad")
    with pytest.raises(StudyError, match="none: the list of SHA-256 sums cannot be read"):
        read_checksums(tmp_path / "none")


def test_values_and_texts_come_back_from_hdf5_as_they_were(tmp_path):
    values = {
        "text": "🌲 $5",
        "whole": 3,
        "number": 1e-5,
        "round": 2.0,
        "yes": True,
        "no": False,
        "sizes": [3, 5],
        "numbers": [0.5, 1.0],
        "none": [],
    }
    texts = ["", "غابة", "a\nb"] + [f"label {i}" for i in range(5000)]
    with h5py.File(tmp_path / "f.h5", "w") as file:
        file.attrs["format"] = "one 1"
        write_values(file.create_group("values"), values)
        write_texts(file, "texts", texts)
        write_texts(file, "nothing", [])
    with open_hdf5(tmp_path / "f.h5", "first", "one 1", "one 2") as file:
        found = read_values(file["values"])
        assert found == values
        assert {key: type(value) for key, value in found.items()} == {
            key: type(value) for key, value in values.items()
        }
        assert read_texts(file["texts"]) == texts
        assert read_texts(file["nothing"]) == []
    with (
        pytest.raises(StudyError, match="f.h5: this is not a second file"),
        open_hdf5(tmp_path / "f.h5", "second", "2"),
    ):
        pass


@pytest.fixture
def runs(tmp_path):
    """The results of two runs: an image and a table that are the same, that differ, and that one has alone."""
    ours, theirs = tmp_path / "ours/results", tmp_path / "theirs/results"
    for folder, change in ((ours, 0), (theirs, 2)):
        (folder / "images").mkdir(parents=True)
        pixels = np.full((4, 4, 3), 100, np.uint8)
        Image.fromarray(pixels).save(folder / "images/same.png")
        pixels[0, 0, 0] += change
        Image.fromarray(pixels).save(folder / "images/other.png")
        row = f"a_1\ta\tforest\t0.9\t{0.9 - change / 10:.6f}\t{0.1 + change / 10:.6f}\n"
        (folder / "table.tsv").write_text(HEADER + row)
    Image.new("RGB", (4, 4)).save(ours / "images/new.png")
    Image.new("RGB", (8, 8)).save(theirs / "images/size.png")
    Image.new("RGB", (4, 4)).save(ours / "images/size.png")
    return ours, theirs


FILES = ["images/same.png", "images/other.png", "images/new.png", "images/size.png", "table.tsv"]


def test_files_beside_those_of_another_run(runs):
    ours, theirs = runs
    for reference in (theirs, theirs.parent):  # the results, or the study's folder
        same, other, new, size, table = compare(FILES, ours, reference)
        assert (same.verdict, same.largest, same.mean) == ("same bytes", 0.0, 0.0)
        assert (other.verdict, other.largest) == ("differs", 2.0)
        assert other.mean == pytest.approx(2 / (4 * 4 * 3))
        assert (new.verdict, new.largest, new.mean) == ("not there", None, None)
        assert (size.verdict, size.largest, size.mean) == ("differs", None, None)
        assert table.verdict == "differs"
        assert table.largest == pytest.approx(0.2)
        assert summary([same, other, new, size, table]) == (
            "1 of 5 files are the same bytes, 1 are not there in the other run; "
            "pixels differ by at most 2 of 255, by 0.0417 on average where an image differs."
        )


def test_files_beside_a_list_of_sums(runs, tmp_path):
    ours, theirs = runs
    sums = {name: sha256_of_file(theirs / name) for name in FILES if (theirs / name).exists()}
    write_checksums(tmp_path / "manifest.sha256", sums)
    verdicts = [row.verdict for row in compare(FILES, ours, tmp_path / "manifest.sha256")]
    assert verdicts == ["same bytes", "differs", "not there", "differs", "differs"]


def test_a_damaged_image_differs(tmp_path):
    """Whatever is wrong with it: a comparison ends with a verdict, not with an error."""
    for folder in ("ours", "theirs"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (9, 9), "red").save(tmp_path / folder / "a.png")
    whole_file = (tmp_path / "ours/a.png").read_bytes()
    for damaged in (
        b"",
        whole_file[:20],
        whole_file[:50],
        whole_file.replace(b"IHDR", b"IHDX"),
        b"\x89PNG\r\n\x1a\n",
    ):
        (tmp_path / "ours/a.png").write_bytes(damaged)
        (row,) = compare(["a.png"], tmp_path / "ours", tmp_path / "theirs")
        assert (row.verdict, row.largest) == ("differs", None)

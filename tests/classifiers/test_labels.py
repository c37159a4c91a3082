"""Labels from a file."""

import pytest
from support.specs import write_spec

from promptflux.classifiers.labels import READY, read_labels
from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError


def test_labels_from_a_file_are_those_of_a_list(tmp_path):
    (tmp_path / "names.txt").write_bytes("forest\r\n  city \r\na desert: sand\n\n".encode("utf-8-sig"))
    spec = load_spec(write_spec(tmp_path, labels="names.txt"))
    assert spec.labels == ("forest", "city", "a desert: sand")
    assert spec.labels_file == tmp_path / "names.txt" and spec.labels_file in spec.files
    listed = load_spec(write_spec(tmp_path, labels=list(spec.labels)))
    assert listed.digest == spec.digest and listed.labels_file is None


def test_the_thousand_of_imagenet_by_name(tmp_path):
    """The places are those on record of torchvision's checkpoints: 282 a tiger cat, 504 a coffee mug, 967 espresso."""
    layers = ["flatten", {"dense": 1000}]
    spec = load_spec(write_spec(tmp_path, labels="imagenet", layers=layers))
    assert spec.labels_file == READY / "imagenet.txt" and len(set(spec.labels)) == 1000
    places = {0: "tench", 134: "crane bird", 281: "tabby", 282: "tiger cat", 504: "coffee mug", 517: "crane"}
    places |= {872: "tripod", 967: "espresso", 999: "toilet tissue"}
    assert {place: spec.labels[place] for place in places} == places
    assert all(label.isascii() for label in spec.labels)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("a\n\nc\n", ["names.txt, line 2: it is empty"]),
        ("a\nb\na\nb\n", ["line 3: 'a' stands in line 1, too", "line 4: 'b' stands in line 2, too"]),
        ("", ["the list of labels is empty"]),
        ("\n\n", ["the list of labels is empty"]),
        ("a\nb\n", ["labels has 2 names, and the network has 3 outputs"]),
        ("a\nb\nc\x1b[2J\n", ["labels[2]", "control characters"]),
        ("a\nb\n" + "c" * 101, ["labels[2]", "1 to 100 characters"]),
        (b"a\nb\n\xff\n", ["names.txt, line 3: byte 4 is not UTF-8"]),
        (None, ["labels is 'names.txt', and there is no file", "or imagenet"]),
    ],
)
def test_a_list_that_is_none_is_a_sentence(tmp_path, content, said):
    if content is not None:
        (tmp_path / "names.txt").write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(StudyError) as error:
        load_spec(write_spec(tmp_path, labels="names.txt"))
    for words in said:
        assert words in str(error.value)


@pytest.mark.parametrize("entry", ["imagenet1k", "x" * 5000, "../", "imagenet/../imagenet"])
def test_a_name_that_is_no_list_is_refused(tmp_path, entry):
    with pytest.raises(StudyError, match=r"there is no file .* or imagenet\."):
        load_spec(write_spec(tmp_path, labels=entry))


def test_every_ready_list_can_be_read():
    assert [len(read_labels(path)) for path in sorted(READY.glob("*.txt"))] == [1000]

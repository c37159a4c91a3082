"""Specs that name an architecture in place of their layers."""

import pytest
import yaml
from support.specs import SMALL

from promptflux.classifiers.spec import load_spec
from promptflux.errors import StudyError

READY = {
    "description": "ready",
    "input": "rgb8",
    "labels": ["a", "b", "c", "d"],
    "weights": {"unused": ["aux"]},
    "layers": [
        {"conv": {"out": 2, "kernel": 3, "module": "stem.conv"}},
        "flatten",
        {"dense": {"out": 4, "module": ["head", "fc"]}},
        "softmax",
    ],
}


def write(folder, content, name="net"):
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(content))
    return folder / f"{name}.yaml"


def spec_of(folder, ready=READY, **said):
    """The spec of `said` and of the architecture `ready` beside it."""
    write(folder, ready, "ready")
    return load_spec(write(folder, {"architecture": "ready.yaml", "weights": {"seed": 1}} | said))


def test_an_architecture_says_what_a_spec_does_not(tmp_path):
    spec = spec_of(tmp_path)
    assert (spec.about, spec.input.shape, spec.labels) == ("ready", (3, 8, 8), ("a", "b", "c", "d"))
    assert [layer.name for layer in spec.layers] == ["conv1", "flatten1", "dense1", "softmax1"]
    assert spec.modules == {"conv1": ("stem.conv",), "dense1": ("head", "fc")}
    assert spec.files == [tmp_path / "net.yaml", tmp_path / "ready.yaml"]
    assert spec.weights == {"seed": 1}


def test_the_spec_comes_first_and_its_labels_are_the_outputs(tmp_path):
    spec = spec_of(tmp_path, description="mine", input="gray9", labels=["x", "y"])
    assert (spec.about, spec.input.shape, spec.labels) == ("mine", (1, 9, 9), ("x", "y"))
    assert spec.parameters["dense1/weight"] == (2, 98) and spec.parameters["conv1/weight"] == (2, 1, 3, 3)
    assert spec.modules["dense1"] == ("head", "fc")


def test_a_shorthand_gets_other_outputs_too(tmp_path):
    ready = READY | {"layers": ["flatten", {"dense": 4}]}
    assert spec_of(tmp_path, ready, labels=["x", "y"]).layers[-1].shape == (2,)


def test_what_an_architecture_leaves_out_is_left_out(tmp_path):
    (tmp_path / "c.pt").touch()
    spec = spec_of(tmp_path, weights={"checkpoint": "c.pt", "unused": ["fc2"], "key": "ema"})
    assert spec.weights == {"checkpoint": "c.pt", "unused": ["aux", "fc2"], "key": "ema"}


def test_the_description_is_that_of_the_same_layers_in_the_spec(tmp_path):
    """So an architecture in place of layers changes no digest, and `module` is no part of it."""
    layers = [{"conv": {"out": 2, "kernel": 3}}, "flatten", {"dense": 4}, "softmax"]
    own = {"input": "rgb8", "labels": ["a", "b", "c", "d"], "weights": {"seed": 1}, "layers": layers}
    (tmp_path / "own").mkdir()
    assert spec_of(tmp_path).digest == load_spec(write(tmp_path / "own", own)).digest


@pytest.mark.parametrize(
    ("said", "ready", "sentences"),
    [
        ({"architecture": "resnet19"}, READY, ["architecture 'resnet19' is unknown; known are "]),
        ({"architecture": "gone.yaml"}, READY, ["architecture is 'gone.yaml', and there is no file"]),
        ({"architecture": "x" * 5000 + ".yaml"}, READY, ["and there is no file"]),
        ({"architecture": "x\0.yaml"}, READY, ["and there is no file"]),
        ({"architecture": 18}, READY, ["architecture is 18; it must be the name of a network"]),
        ({"layers": ["flatten"]}, READY, ["architecture and layers are both given"]),
        ({"labels": ["x", "x"]}, READY, ["labels", "without repetitions"]),
        ({"input": "rgb2"}, READY, ["net.yaml: conv1 (layers[0] of ", "ready.yaml) gets 3×2×2; its kernel covers"]),
        ({"weights": {"seed": 1, "key": "ema"}}, READY, ["weights has a key, which only a checkpoint can have"]),
        ({"weights": {"seed": 1, "unused": ["x"]}}, READY, ["weights has an unused, which only a checkpoint"]),
        ({}, READY | {"architecture": "ready.yaml"}, ["ready.yaml: an architecture has no architecture."]),
        ({}, READY | {"layers": ["conv"]}, ["ready.yaml: layers[0] is 'conv' without its settings"]),
        ({}, {key: READY[key] for key in READY if key != "layers"}, ["ready.yaml: layers is missing"]),
        ({}, READY | {"layers": [{"maxpool": {"kernel": 2, "module": "x"}}]}, ["the key 'module' in layers[0].maxpool is unknown"]),
        ({}, READY | {"layers": [{"dense": {"out": 4, "module": []}}]}, ["module is []", "a list of names"]),
        (
            {},
            READY | {"layers": [{"conv": {"out": 2, "kernel": 3, "module": "m"}}] * 2 + READY["layers"][1:]},
            ["the layers conv1, conv2 have the same module 'm'"],
        ),
        ({}, {key: READY[key] for key in READY if key != "labels"}, ["net.yaml: labels is missing"]),
    ],
)  # fmt: skip
def test_a_mistake_is_a_sentence(tmp_path, said, ready, sentences):
    with pytest.raises(StudyError) as error:
        spec_of(tmp_path, ready, **said)
    assert all(part in str(error.value) for part in sentences), str(error.value)


def test_a_spec_of_layers_may_name_modules(tmp_path):
    spec = load_spec(
        write(tmp_path, SMALL | {"layers": ["flatten", {"dense": {"out": 3, "module": "classifier.0"}}]})
    )
    assert spec.modules == {"dense1": ("classifier.0",)} and spec.files == [tmp_path / "net.yaml"]

"""The classifier spec: shapes against PyTorch's, and a sentence for every mistake."""

import random
import subprocess
import sys

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.slips import is_readable, mutated
from support.specs import SMALL, write_spec

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, save_model
from promptflux.errors import StudyError


def test_layers_have_names_shapes_and_all_settings(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    assert spec.name == "small"
    assert spec.input.shape == (1, 12, 10)
    assert {layer.name: layer.shape for layer in spec.layers} == {
        "conv1": (4, 10, 8),
        "maxpool1": (4, 5, 4),
        "conv2": (6, 5, 4),
        "batchnorm1": (6, 5, 4),
        "dropout1": (6, 5, 4),
        "flatten1": (120,),
        "dense1": (8,),
        "dense2": (3,),
        "softmax1": (3,),
    }
    assert spec.layers[0].settings == {
        "out": 4,
        "kernel": (3, 3),
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
        "groups": 1,
        "bias": True,
        "activation": "relu",
    }
    assert spec.parameters["conv2/weight"] == (6, 4, 3, 3)
    assert "conv2/bias" not in spec.parameters
    assert spec.parameters["dense1/weight"] == (8, 120)
    assert spec.parameters["batchnorm1/running_var"] == (6,)


def test_the_input_can_be_a_name(tmp_path):
    spec = load_spec(write_spec(tmp_path, input="rgb32"))
    assert spec.input.shape == (3, 32, 32)
    assert spec.parameters["conv1/weight"] == (4, 3, 3, 3)


def test_reading_a_spec_does_not_import_torch(tmp_path):
    code = f"import sys; from promptflux.classifiers.spec import load_spec; load_spec({str(write_spec(tmp_path))!r})"
    code += "; sys.exit('torch' in sys.modules)"
    environment = {"PYTHONPATH": ":".join(filter(None, sys.path))}
    assert subprocess.run([sys.executable, "-c", code], env=environment).returncode == 0


WITHOUT_FLATTEN = [layer for layer in SMALL["layers"] if layer != "flatten"]
DENSE = [{"dense": 3}]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"layers": []}, ["layers is []"]),
        ({"layers": ["relu", {"con": {"out": 4}}]}, ["'con' in layers[1] is unknown", "batchnorm"]),
        ({"layers": ["conv"]}, ["layers[0] is 'conv'"]),
        ({"layers": [{"conv": {"out": 4}}]}, ["kernel is missing in layers[0].conv"]),
        ({"layers": [{"conv": {"out": 4, "kernel": 3}, "maxpool": 2}]}, ["its own dash"]),
        ({"layers": [{"conv": {"out": 0, "kernel": 3}}]}, ["layers[0].conv.out is 0"]),
        ({"layers": [{"conv": {"out": 4, "kernel": [3, 3, 3]}}]}, ["kernel is [3, 3, 3]", "[height, width]"]),
        ({"layers": [{"conv": {"out": 4, "kernel": 3, "activation": "swish"}}]}, ["'swish'", "relu, relu6"]),
        ({"layers": [{"conv": {"out": 4, "kernel": 13}}]}, ["conv1", "1×12×10", "13×13"]),
        ({"layers": [{"maxpool": 2}, {"conv": {"out": 4, "kernel": 6}}]}, ["layers[1]", "1×6×5", "6×6"]),
        ({"layers": [{"conv": {"out": 4, "kernel": 3, "groups": 2}}]}, ["1 input channels", "2 groups"]),
        (
            {"layers": [{"maxpool": {"kernel": 2, "padding": 2}}]},
            ["padding 2×2", "not smaller than its kernel 2×2"],
        ),
        ({"layers": [{"batchnorm": {"eps": "small"}}]}, ["eps is 'small'", "above 0"]),
        ({"layers": [{"dropout": 1}]}, ["dropout is 1"]),
        ({"layers": WITHOUT_FLATTEN}, ["dense1", "6×5×4", "flatten"]),
        (
            {"layers": ["flatten", {"conv": {"out": 2, "kernel": 1}}]},
            ["conv1", "gets 120", "before `- flatten`"],
        ),
        ({"layers": ["softmax", *SMALL["layers"]]}, ["softmax must be the last layer"]),
        ({"layers": ["relu"]}, ["maps of 1×12×10 (relu1)"]),
        ({"labels": ["a", "b"]}, ["labels has 2 names", "3 outputs (softmax1)"]),
        ({"labels": ["a", "b", "b"]}, ["labels", "without repetitions"]),
        ({"labels": ["a", "b", True]}, ["labels[2] is True", "quotes"]),
        ({"labels": ["a", "b", "c\td"]}, ["labels[2]", "tabs"]),
        ({"input": "gray"}, ["input is 'gray'", "gray28"]),
        ({"input": {"name": "x", "size": 8}}, ["channels is missing in input"]),
        (
            {"input": {"name": "x", "size": 8, "channels": "rgb", "mean": [0.5]}},
            ["1 numbers in mean", "need 3"],
        ),
        ({"input": {"name": "x", "size": 8, "channels": "gray", "std": [0]}}, ["std[0] is 0", "above 0"]),
        ({"input": {"name": "../x", "size": 8, "channels": "gray"}}, ["input.name is '../x'"]),
        ({"weights": {}}, ["weights has no source"]),
        ({"weights": {"seed": 1, "file": "a.h5"}}, ["file and seed"]),
        ({"weights": {"file": "a.h5"}}, ["sha256"]),
        ({"weights": {"seed": 1, "sha256": "0" * 64}}, ["a seed and a sha256"]),
        ({"weights": {"seed": -1}}, ["weights.seed is -1"]),
        ({"weights": {"checkpoint": "a.pkl"}}, ["'a.pkl'", ".safetensors"]),
        (
            {"weights": {"checkpoint": "a.pt", "rename": {"x": "conv9"}}},
            ["'conv9'", "conv1, conv2, batchnorm1"],
        ),
        (
            {"weights": {"checkpoint": "a.pt", "rename": {"x": "conv1", "y": "conv1"}}},
            ["more than one source"],
        ),
        ({"weights": {"checkpoint": "missing.pt"}}, ["no file", "missing.pt"]),
        ({"weights": {"seed": 1, "rename": {"x": "conv1"}}}, ["only a checkpoint"]),
        ({"wieghts": {"seed": 1}}, ["'wieghts' is unknown"]),
        ({"layers": ["relu", "dense"]}, ["layers[1] is 'dense' without its settings", "1 to 65536"]),
        ({"layers": [{"conv": None}]}, ["layers[0] is 'conv' without its settings", "{out: 16, kernel: 3}"]),
        ({"layers": [{"relu": None}]}, ["nothing after the colon; write `- relu`"]),
        ({"layers": [{"leaky_relu": {"slope": float("nan")}}]}, ["slope is nan"]),
        ({"layers": [{"dropout": float("nan")}]}, ["dropout is nan"]),
        ({"layers": [{"batchnorm": {"eps": float("inf")}}]}, ["eps is inf"]),
        ({"layers": [{"leaky_relu": {"slope": 1e300}}]}, ["slope is 1e+300"]),
        (
            {"input": {"name": "x", "size": 8, "channels": "gray", "mean": [float("nan")]}},
            ["mean[0] is nan"],
        ),
        ({"input": {"name": "x", "size": 8, "channels": "gray", "std": [float("inf")]}}, ["std[0] is inf"]),
        ({"input": "gray28\n"}, ["input is 'gray28\\n'"]),
        ({"input": {"name": "x\n", "size": 8, "channels": "gray"}}, ["input.name is 'x\\n'"]),
        ({"labels": ["a", "b", "c\n"]}, ["labels[2] is 'c\\n'"]),
        ({"labels": ["a", "b", "\x1b[2J"]}, ["labels[2]", "control characters"]),
        ({"labels": ["a", "b", " "]}, ["labels[2]"]),
        ({"labels": None}, ["labels is empty (null)"]),
        ({"weights": {"seed": 1.5}}, ["weights.seed is 1.5"]),
        ({"weights": {"checkpoint": "x" * 5000 + ".pt"}}, ["there is no file"]),
        ({"weights": {"checkpoint": "a.pt", "rename": {"\x1b": 3}}}, ["weights.rename['\\x1b'] is 3"]),
        (
            {"layers": ["flatten", {"dense": 65536}, {"dense": 65536}, {"dense": 3}]},
            ["4,3", "parameters; at most"],
        ),
    ],
)
def test_a_mistake_is_a_sentence(tmp_path, changes, said):
    path = write_spec(tmp_path, **changes)
    with pytest.raises(StudyError) as caught:
        load_spec(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    for words in said:
        assert words in message, message


def test_numbers_have_one_type_however_they_are_written(tmp_path):
    layers = [
        {"conv": {"out": 4.0, "kernel": [3.0, 3]}},
        {"batchnorm": {"eps": 1}},
        {"leaky_relu": {"slope": "1e-2"}},
        {"maxpool": 2.0},
        "flatten",
        {"dropout": 0},
        {"dense": 3.0},
    ]
    written = load_spec(write_spec(tmp_path, layers=layers, weights={"seed": 7.0}))
    assert repr(written.weights["seed"]) == "7"
    assert repr(written.layers[0].settings["kernel"]) == "(3, 3)"
    assert [repr(layer.settings) for layer in written.layers[1:3]] == [
        "{'eps': 1.0, 'activation': 'identity'}",
        "{'slope': 0.01}",
    ]
    layers[0], layers[3], layers[5], layers[6] = (
        {"conv": {"out": 4, "kernel": 3}}, {"maxpool": 2}, {"dropout": 0.0}, {"dense": 3},
    )  # fmt: skip
    assert load_spec(write_spec(tmp_path, layers=layers)).digest == written.digest


def test_the_modules_of_a_checkpoint_may_be_numbers(tmp_path):
    """As nn.Sequential names them; a number is not read as one, so that 1.10 is not 1.1."""
    text = yaml.safe_dump({**SMALL, "weights": {"checkpoint": "a.pt"}})
    (tmp_path / "a.pt").touch()
    path = tmp_path / "small.yaml"
    path.write_text(text + "  rename: {0: conv1, 1.10: conv2, null: batchnorm1}\n")
    assert load_spec(path).weights["rename"] == {"0": "conv1", "1.10": "conv2", "null": "batchnorm1"}


@settings(max_examples=150, deadline=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32))
def test_any_spec_is_one_or_a_sentence(tmp_path, seed):
    path = tmp_path / "any.yaml"
    path.write_bytes(mutated(yaml.safe_dump(SMALL, sort_keys=False), random.Random(seed)))
    try:
        load_spec(path)
    except StudyError as error:
        is_readable(str(error))


def test_several_mistakes_are_told_at_once(tmp_path):
    path = write_spec(tmp_path, input="gray", labels=[], weights={"seed": "one"})
    with pytest.raises(StudyError) as caught:
        load_spec(path)
    mistakes = sorted(problem.removeprefix(f"{path}: ").split(" is ")[0] for problem in caught.value.args)
    assert mistakes == ["input", "labels", "weights.seed"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "mapping"),
        (b"- a\n- b\n", "mapping"),
        (b"a: 1\nb: ]\n", "line 2"),
        (b"\xff\xfea", "not UTF-16"),
        ("labels: [café]".encode("latin-1"), "line 1: byte 12 is not UTF-8"),
        ("input: gray28".encode("utf-16-le"), "NUL bytes"),
        (b"a: !!python/object/apply:os.system ['true']", "the tag"),
    ],
)
def test_a_file_that_is_no_spec(tmp_path, content, said):
    path = tmp_path / "broken.yaml"
    path.write_bytes(content)
    with pytest.raises(StudyError, match=said):
        load_spec(path)


def test_a_spec_that_is_not_there(tmp_path):
    with pytest.raises(StudyError, match="cannot be read"):
        load_spec(tmp_path / "none.yaml")


def test_the_name_of_the_file_is_checked(tmp_path):
    with pytest.raises(StudyError, match="letters, digits"):
        load_spec(write_spec(tmp_path, name="my $classifier"))


def test_weights_that_are_still_to_be_made(tmp_path):
    path = write_spec(tmp_path, weights={"file": "later.h5", "sha256": "0" * 64})
    assert load_spec(path, weights_exist=False).weights_path == tmp_path / "later.h5"
    with pytest.raises(StudyError, match="later.h5"):
        load_spec(path)


pairs = st.integers(1, 4) | st.lists(st.integers(1, 4), min_size=2, max_size=2)
paddings = st.integers(0, 2) | st.lists(st.integers(0, 2), min_size=2, max_size=2)
activations = st.sampled_from(["relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity"])
pools = pairs | st.fixed_dictionaries({"kernel": pairs}, optional={"stride": pairs, "padding": paddings})
convs = st.fixed_dictionaries(
    {"out": st.sampled_from([2, 4, 6]), "kernel": pairs},
    optional={
        "stride": pairs,
        "padding": paddings,
        "dilation": st.integers(1, 3),
        "groups": st.sampled_from([1, 2]),
        "bias": st.booleans(),
        "activation": activations,
    },
)
map_layers = st.one_of(
    st.builds(lambda value: {"conv": value}, convs),
    st.builds(lambda kind, value: {kind: value}, st.sampled_from(["maxpool", "meanpool"]), pools),
    st.sampled_from(["batchnorm", "identity", {"dropout": 0.3}, {"leaky_relu": {"slope": 0.2}}]),
    activations,
)
vector_layers = st.one_of(
    st.builds(
        lambda out, activation: {"dense": {"out": out, "activation": activation}},
        st.integers(1, 9),
        activations,
    ),
    st.sampled_from(["batchnorm", "tanh", {"dropout": 0.3}]),
)
specs = st.fixed_dictionaries(
    {
        "input": st.fixed_dictionaries(
            {
                "name": st.just("any"),
                "size": st.lists(st.integers(1, 14), min_size=2, max_size=2),
                "channels": st.sampled_from(["gray", "rgb"]),
            }
        ),
        "maps": st.lists(map_layers, max_size=5),
        "vectors": st.lists(vector_layers, max_size=2),
        "softmax": st.booleans(),
    }
)


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=specs)
def test_shapes_are_those_of_pytorch(tmp_path, parts):
    """For random specs: each layer has the predicted shape, and what is refused PyTorch refuses too."""
    layers = [
        *parts["maps"],
        "flatten",
        *parts["vectors"],
        {"dense": 3},
        *(["softmax"] if parts["softmax"] else []),
    ]
    path = write_spec(tmp_path, input=parts["input"], layers=layers)
    height, width = parts["input"]["size"]
    images = torch.rand(2, {"gray": 1, "rgb": 3}[parts["input"]["channels"]], height, width)
    try:
        spec = load_spec(path)
    except StudyError as error:
        with pytest.raises((RuntimeError, ValueError)):
            refused_by_pytorch(layers, images)
        assert "layers[" in str(error)
        return
    network = Network(spec).eval()
    outputs = dict(network.outputs(images))
    assert {name: tuple(values.shape[1:]) for name, values in outputs.items()} == {
        layer.name: layer.shape for layer in spec.layers
    }
    found = {
        name: tuple(value.shape) for name, value in network.state_dict().items() if "num_batches" not in name
    }
    assert {name.replace("/", "."): shape for name, shape in spec.parameters.items()} == found
    last_is_softmax = spec.layers[-1].kind == "softmax"
    logits = outputs[spec.layers[-2 if last_is_softmax else -1].name]
    assert torch.equal(network(images), logits)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(parts=specs)
def test_a_description_comes_back_from_a_model_file(tmp_path, parts):
    layers = [*parts["maps"], "flatten", *parts["vectors"], {"dense": 3}]
    try:
        spec = load_spec(write_spec(tmp_path, input=parts["input"], layers=layers))
    except StudyError:
        return
    save_model(tmp_path / "m.h5", untrained_weights(spec, 1), spec)
    description, weights = load_model(tmp_path / "m.h5")
    assert description.to_dict() == spec.to_dict()
    assert description.digest == spec.digest
    for ours, theirs in zip(description.layers, spec.layers, strict=True):
        types = [{key: type(value) for key, value in layer.settings.items()} for layer in (ours, theirs)]
        assert types[0] == types[1]
    assert list(weights) == list(spec.parameters)


def refused_by_pytorch(layers: list, images: torch.Tensor) -> None:
    """Build and run the convolutions and pools straight from the spec's own values."""

    def both(value):
        return tuple(value) if isinstance(value, list) else (value, value)

    for layer in layers:
        kind, value = next(iter(layer.items())) if isinstance(layer, dict) else (layer, {})
        if kind == "conv":
            sizes = {key: both(value[key]) for key in ("stride", "padding", "dilation") if key in value}
            images = torch.nn.Conv2d(
                images.shape[1], value["out"], both(value["kernel"]), groups=value.get("groups", 1), **sizes
            )(images)
        elif kind in ("maxpool", "meanpool"):
            value = value if isinstance(value, dict) else {"kernel": value}
            pool = {"maxpool": torch.nn.MaxPool2d, "meanpool": torch.nn.AvgPool2d}[kind]
            stride = both(value["stride"]) if "stride" in value else None
            images = pool(both(value["kernel"]), stride, both(value.get("padding", 0)))(images)


def test_the_example_in_the_schema_is_valid_yaml(tmp_path):
    """A spec written by hand, with PyYAML's own reading of its numbers."""
    path = tmp_path / "hand.yaml"
    path.write_text(
        """
description: a network by hand
input: gray28
layers:
  - conv: {out: 16, kernel: 3, stride: 1, padding: 0, dilation: 1, groups: 1, bias: true, activation: relu}
  - batchnorm: {eps: 1.0e-5, activation: relu}
  - maxpool: {kernel: 2, stride: 2, padding: 0}
  - meanpool: [2, 1]
  - leaky_relu: {slope: 0.1}
  - flatten
  - dense: 2
  - softmax
labels: ["yes", "no"]
weights: {seed: 7}
"""
    )
    spec = load_spec(path)
    assert [layer.name for layer in spec.layers][-4:] == ["leaky_relu1", "flatten1", "dense1", "softmax1"]
    assert spec.layers[3].shape == (16, 6, 13)
    assert yaml.safe_load(path.read_text())["layers"][1]["batchnorm"]["eps"] == 1e-5

"""Networks with branches: names, shapes, what they compute, files, and a sentence for what does not fit."""

import numpy as np
import pytest
import torch
from support.specs import write_spec
from torch import nn
from torch.nn import functional as F

from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, load_weights, save_model
from promptflux.errors import StudyError


def conv(out: int, kernel: int = 3, **settings) -> dict:
    return {"conv": {"out": out, "kernel": kernel, "padding": kernel // 2, **settings}}


# The blocks of a ResNet, an Inception, a DenseNet, and squeeze-and-excitation inside of a residual.
BRANCHED = [
    conv(4),
    {"residual": {"body": [conv(4, activation="relu"), conv(4)], "activation": "relu"}},
    {"residual": {"body": [conv(6, stride=2)], "shortcut": [conv(6, 1, stride=2)]}},
    {"parallel": {"branches": [[conv(2, 1)], [conv(3), conv(2)]], "activation": "tanh"}},
    {"parallel": {"branches": [[], [conv(2)]]}},
    {"parallel": {"branches": [[conv(4)], [conv(4, 1)], [conv(4)]], "join": "sum"}},
    {"residual": {"body": [{"scale": {"gate": ["globalmeanpool", conv(4, 1, activation="sigmoid")]}}]}},
    conv(3, 1),
    "globalmeanpool",
]


@pytest.fixture
def branched(tmp_path):
    return load_spec(write_spec(tmp_path, layers=BRANCHED))


def test_a_layer_inside_of_a_block_has_the_path_for_a_name(branched):
    assert [layer.name for layer in branched.walk()] == [
        "conv1",
        "residual1.conv1", "residual1.conv2", "residual1",
        "residual2.conv1", "residual2.conv2", "residual2",
        "parallel1.conv1", "parallel1.conv2", "parallel1.conv3", "parallel1",
        "parallel2.conv1", "parallel2",
        "parallel3.conv1", "parallel3.conv2", "parallel3.conv3", "parallel3",
        "residual3.scale1.globalmeanpool1", "residual3.scale1.conv1", "residual3.scale1", "residual3",
        "conv2", "globalmeanpool1",
    ]  # fmt: skip
    assert {layer.name: layer.shape for layer in branched.walk() if layer.branches} == {
        "residual1": (4, 12, 10),
        "residual2": (6, 6, 5),
        "parallel1": (4, 6, 5),
        "parallel2": (6, 6, 5),
        "parallel3": (4, 6, 5),
        "residual3.scale1": (4, 6, 5),
        "residual3": (4, 6, 5),
    }
    assert branched.parameters["residual2.conv2/weight"] == (6, 4, 1, 1)


def test_the_blocks_compute_what_their_papers_say(branched):
    network = Network(branched).load(untrained_weights(branched, 3)).eval()
    part = network.get_submodule
    x = torch.randn(2, 1, 12, 10, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        y = part("conv1")(x)
        y = F.relu(y + part("residual1.conv2")(F.relu(part("residual1.conv1")(y))))
        y = part("residual2.conv1")(y) + part("residual2.conv2")(y)
        y = torch.tanh(
            torch.cat([part("parallel1.conv1")(y), part("parallel1.conv3")(part("parallel1.conv2")(y))], 1)
        )
        y = torch.cat([y, part("parallel2.conv1")(y)], 1)
        y = sum(part(f"parallel3.conv{i}")(y) for i in (1, 2, 3))
        gate = torch.sigmoid(part("residual3.scale1.conv1")(y.mean((2, 3), keepdim=True)))
        y = y * gate + y
        y = part("conv2")(y).mean((2, 3))
        outputs = dict(network.outputs(x))
        torch.testing.assert_close(network(x), y)
    assert network(x).shape == (2, 3)
    assert {layer.name: layer.shape for layer in branched.walk()} == {
        name: tuple(values.shape[1:]) for name, values in outputs.items()
    }


def test_a_model_file_holds_the_blocks(branched, tmp_path):
    weights = untrained_weights(branched, 3)
    save_model(tmp_path / "model.h5", weights, branched)
    description, again = load_model(tmp_path / "model.h5")
    assert description.to_dict() == branched.to_dict() and description.digest == branched.digest
    assert list(again) == list(branched.parameters)
    assert all(np.array_equal(again[name], weights[name]) for name in weights)
    assert load_weights(tmp_path / "model.h5", branched).keys() == weights.keys()


def test_blocks_of_a_file_that_do_not_follow_are_refused(branched, tmp_path, monkeypatch):
    """A digest can be made for anything, so the shapes are computed again."""
    fields = branched.to_dict()
    fields["layers"][1]["branches"][0][1]["shape"] = (5, 12, 10)
    forged = type("Forged", (), {"to_dict": lambda self: fields, "name": "x", "digest": "0"})()
    from promptflux.classifiers.description import Description

    forged.digest = Description.from_dict(fields, "x").digest
    save_model(tmp_path / "model.h5", untrained_weights(branched, 3), forged)
    with pytest.raises(StudyError, match=r"the layer residual1\.conv2 does not follow"):
        load_model(tmp_path / "model.h5")


def nested(depth: int) -> dict:
    layer: dict = conv(1)
    for _ in range(depth):
        layer = {"residual": {"body": [layer]}}
    return layer


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ({"residual": {"body": [conv(5)], "shortcut": [conv(6)]}}, ["residual1 (layers[0])", "5×12×10", "6×12×10"]),
        ({"residual": {"body": [conv(5)]}}, ["its body gives 5×12×10 and its shortcut 1×12×10"]),
        ({"residual": {"body": []}}, ["layers[0].residual.body is []", "1 to 1000 layers"]),
        ({"residual": {"shortcut": []}}, ["body is missing in layers[0].residual"]),
        ({"residual": None}, ["layers[0] is 'residual' without its settings"]),
        ("residual", ["layers[0] is 'residual' without its settings"]),
        ({"residual": {"body": ["conv"]}}, ["layers[0].residual.body[0] is 'conv' without its settings"]),
        ({"residual": {"body": [{"batchnorm": None}]}}, ["layers[0].residual.body[0] is `batchnorm:` with nothing"]),
        ({"residual": {"body": [{"con": 3}]}}, ["'con' in layers[0].residual.body[0] is unknown"]),
        ({"residual": {"body": [conv(0)]}}, ["layers[0].residual.body[0].conv.out is 0"]),
        ({"residual": {"body": [conv(1, activation="swish")]}}, ["layers[0].residual.body[0].conv.activation"]),
        ({"parallel": {"branches": [[conv(2)], [conv(2, stride=2)]]}}, ["2×12×10, 2×6×5", "one height and width"]),
        ({"parallel": {"branches": [[conv(2)], ["flatten"]]}}, ["2×12×10, 120"]),
        ({"parallel": {"branches": [[conv(2)], [conv(3)]], "join": "sum"}}, ["2×12×10, 3×12×10", "must be alike"]),
        ({"parallel": {"branches": [[conv(2)]], "join": "product"}}, ["join is 'product'; it must be concat or sum"]),
        ({"parallel": {"branches": [conv(2)]}}, ["layers[0].parallel.branches[0]", "list of at most 1000 layers"]),
        ({"scale": {"gate": [conv(2)]}}, ["its gate gives 2×12×10", "1×1×1"]),
        ({"residual": {"body": ["flatten", {"conv": {"out": 1, "kernel": 1}}]}}, ["residual1.conv1", "residual.body[1]"]),
        ({"residual": {"body": ["softmax"]}}, ["residual1.softmax1", "softmax must be the last layer"]),
        (nested(8), ["7 other blocks"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_said_with_its_place(tmp_path, layer, said):
    with pytest.raises(StudyError) as error:
        load_spec(write_spec(tmp_path, layers=[layer, "flatten", {"dense": 3}]))
    for part in said:
        assert part in str(error.value)


def test_a_network_that_ends_in_maps_is_refused(tmp_path):
    with pytest.raises(StudyError, match="ends in maps of 3×12×10 \\(conv1\\)"):
        load_spec(write_spec(tmp_path, layers=[conv(3)]))


def test_the_layers_of_a_block_are_modules_of_the_block(branched):
    network = Network(branched)
    assert isinstance(network.get_submodule("residual2.conv2"), nn.Conv2d)
    assert "residual3.scale1.conv1.weight" in network.state_dict()

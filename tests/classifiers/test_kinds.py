"""Kinds of layer: what each says of itself, and that a new one is one new file."""

import json
import shutil
import subprocess
import sys

import pytest
import torch
import yaml
from support.specs import write_spec
from support.workflow import WORKFLOW

from promptflux.classifiers.kind import Kind, Layer
from promptflux.classifiers.kinds import ACTIVATIONS, KINDS, kind_of, required
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec

SQUARE = '''\
"""The square of each number, and more."""

from promptflux.classifiers.kind import Kind


class Power(Kind):
    """`scale` times the number to the power `by`."""

    name = "power"
    schema = {
        "by": {"description": "a whole number from 2 to 4", "type": "integer", "minimum": 2, "maximum": 4},
        "scale": {"description": "a number", "type": "number"},
    }
    defaults = {"scale": 1.0}
    shorthand = "by"
    suspect = "is it the same power?"

    def parameters(self, settings, shape):
        return {"shift": shape[:1]}

    def initial(self, parameter):
        return 0.5

    def module(self, layer):
        import torch

        class Module(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.shift = torch.nn.Parameter(torch.zeros(layer.shape[:1]))

            def forward(self, values):
                return layer.settings["scale"] * values ** layer.settings["by"] + self.shift[:, None, None]

        return Module()


POWER = Power()
'''
USE_IT = """
import json, sys
import torch
from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.parity import LayerDifference, Parity, complaint
from promptflux.classifiers.spec import SCHEMA, load_spec
from promptflux.classifiers.weights import load_model, save_model
from promptflux.errors import StudyError

good, bad, model = sys.argv[1:]
spec = load_spec(good)
weights = untrained_weights(spec, 1)
save_model(model, weights, spec)
description, weights = load_model(model)
network = Network(description).load(weights).eval()
images = torch.arange(6.0).reshape(1, 1, 2, 3)
outputs = {name: values.tolist() for name, values in network.outputs(images)}
try:
    load_spec(bad)
except StudyError as error:
    refused = str(error)
parity = Parity(["One", "Other"], [LayerDifference("power1", (1,), 1, 1.0, 1.0)], *(LayerDifference("x", ()),) * 2)
parity.judge()
print(json.dumps({
    "settings": dict(spec.layers[0].settings), "shape": spec.layers[0].shape, "parameters": spec.parameters,
    "outputs": outputs, "refused": refused, "complaint": complaint(parity, "good"),
}))
"""


@pytest.fixture(scope="module")
def with_a_new_kind(tmp_path_factory):
    """What a copy of the package with one more file, layers/power.py, makes of a spec that uses it."""
    house = tmp_path_factory.mktemp("house")
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(WORKFLOW / "scripts", house / "scripts", ignore=ignored)
    shutil.copytree(WORKFLOW / "schemas", house / "schemas")
    (house / "scripts/promptflux/classifiers/layers/power.py").write_text(SQUARE)
    rest = ["flatten", {"dense": 3}]
    size = {"name": "tiny", "size": [2, 3], "channels": "gray"}
    good = write_spec(
        house, "good", input=size, layers=[{"power": 2}, {"power": {"by": 3, "scale": 2}}, *rest]
    )
    bad = write_spec(house, "bad", input=size, layers=[{"power": 7}, "power", *rest])
    command = [sys.executable, "-c", USE_IT, str(good), str(bad), str(house / "model.h5")]
    environment = {"PYTHONPATH": ":".join([str(house / "scripts"), *sys.path])}
    ran = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_new_file_is_a_new_kind_in_specs(with_a_new_kind):
    assert with_a_new_kind["settings"] == {"scale": 1.0, "by": 2}
    assert with_a_new_kind["shape"] == [1, 2, 3]
    parameters = with_a_new_kind["parameters"]
    assert parameters["power1/shift"] == parameters["power2/shift"] == [1]


def test_its_schema_refuses_what_it_does_not_take(with_a_new_kind):
    first, second = with_a_new_kind["refused"].splitlines()
    assert first.endswith("layers[0].power is 7; it must be a whole number from 2 to 4.")
    assert "layers[1] is 'power'" in second


def test_its_module_runs_in_the_network(with_a_new_kind):
    outputs = with_a_new_kind["outputs"]
    assert list(outputs) == ["power1", "power2", "flatten1", "dense1"]
    first = [value**2 + 0.5 for value in range(6)]
    assert outputs["flatten1"] == [[2 * value**3 + 0.5 for value in first]]
    assert outputs["power1"] == [[[first[:3], first[3:]]]]


def test_its_suspect_is_named_by_the_parity_check(with_a_new_kind):
    assert "The first layer to differ is power1:" in with_a_new_kind["complaint"]
    assert "is it the same power?" in with_a_new_kind["complaint"]


# The kinds that are there ----------------------------------------------------------------


def test_there_are_the_kinds_that_specs_are_written_with():
    """Each is a promise: a spec that names it must stay valid."""
    assert set(KINDS) >= {
        "conv", "maxpool", "meanpool", "batchnorm", "dropout", "flatten", "dense", "softmax",
        "relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity",
    }  # fmt: skip
    assert set(ACTIVATIONS) >= {"relu", "gelu", "sigmoid", "tanh", "leaky_relu", "identity"}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_is_sound(kind: Kind):
    assert kind.name.isidentifier()
    assert kind_of(kind.numbered(61)) is kind
    assert set(kind.defaults) <= set(kind.schema)
    assert kind.shorthand is None or kind.shorthand in kind.schema
    assert kind.suspect.endswith("?")
    if required(kind) and not kind.shorthand:
        assert set(yaml.safe_load(kind.written)) >= set(required(kind))
    for setting, schema in kind.schema.items():
        assert schema.get("description"), f"{setting} says nothing to who gets it wrong"


def test_every_kind_stands_in_the_readme():
    section = (WORKFLOW / "README.md").read_text().split("### Your own CNN")[1].split("\n## ")[0]
    assert [name for name in KINDS if f"`{name}" not in section] == []


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_inside_of_a_layer_is_that_after_it(tmp_path, name):
    inside, after = (
        load_spec(write_spec(tmp_path, called, input="gray12", layers=layers))
        for called, layers in (
            ("inside", ["flatten", {"dense": {"out": 3, "activation": name}}]),
            ("after", ["flatten", {"dense": 3}, name]),
        )
    )
    torch.manual_seed(0)
    network = Network(inside).eval()
    images = torch.randn(4, 1, 12, 12)
    with torch.no_grad():
        assert torch.equal(network(images), Network(after).load(network.weights()).eval()(images))


def test_a_setting_that_is_a_size_is_height_and_width():
    conv = KINDS["conv"]
    assert conv.settings({"out": 4, "kernel": [3, 5]})["kernel"] == (3, 5)
    assert conv.settings({"out": 4, "kernel": 3.0, "stride": 2})["kernel"] == (3, 3)
    assert KINDS["maxpool"].settings({"kernel": (2, 3)})["stride"] == (2, 3)
    layer = Layer("conv1", "conv", conv.settings({"out": 4, "kernel": [3, 5]}), (1, 9, 9), (4, 7, 5), {})
    assert layer.activation == "identity"

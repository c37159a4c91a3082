"""A spec with an ONNX model in place of layers and weights, and the command that writes it as YAML and weights."""

import re
import subprocess
import sys

import convert
import import_weights
import numpy as np
import onnx
import pytest
import torch
import yaml
from onnx import helper
from safetensors.numpy import load_file
from support.onnx_models import image, model_of
from support.workflow import WORKFLOW

from promptflux.classifiers.importers.onnx_runtime import run_onnx
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model
from promptflux.errors import StudyError

node = helper.make_node
SHAPE = (3, 10, 8)
SAID = {
    "input": {"name": "small", "size": [10, 8], "channels": "rgb", "mean": [0.5, 0.4, 0.3], "std": [0.2, 0.2, 0.2]},
    "labels": ["cat", "dog", "other"],
}  # fmt: skip


@pytest.fixture
def net(tmp_path):
    """net.onnx: a convolution, a residual block, a mean and a dense layer."""
    weights = {
        "w1": image(4, 3, 3, 3), "b1": image(4), "w2": image(4, 4, 1, 1), "d": image(3, 4, seed=1), "b": image(3),
    }  # fmt: skip
    nodes = [
        node("Conv", ["x", "w1", "b1"], ["c"], pads=[1, 1, 1, 1], strides=[2, 2]),
        node("Conv", ["c", "w2"], ["r"]),
        node("Add", ["r", "c"], ["s"]),
        node("Relu", ["s"], ["a"]),
        node("GlobalAveragePool", ["a"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("Gemm", ["f", "d", "b"], ["y"], transB=1),
    ]
    path = tmp_path / "net.onnx"
    onnx.save(model_of(nodes, weights, ("n", *SHAPE)), path)
    return path


def spec_with(folder, **changes):
    path = folder / "my_net.yaml"
    path.write_text(yaml.safe_dump({"model": "net.onnx", **SAID, **changes}))
    return path


def test_a_spec_with_a_model_is_as_one_with_its_layers(net, tmp_path):
    spec = load_spec(spec_with(tmp_path))
    assert [layer.name for layer in spec.walk()] == [
        "conv1", "residual1.conv1", "residual1", "globalmeanpool1", "flatten1", "dense1",
    ]  # fmt: skip
    assert spec.weights_path == net and spec.labels == ("cat", "dog", "other")
    import_weights.main(
        spec=spec.source, weights=str(net), model=str(tmp_path / "m.h5"), architecture=str(tmp_path / "a.txt")
    )
    description, weights = load_model(tmp_path / "m.h5")
    assert description.to_dict() == spec.to_dict()
    images = image(3, *SHAPE)
    found = Network(description).load(weights).eval()(torch.from_numpy(images)).detach().numpy()
    np.testing.assert_allclose(found, run_onnx(net, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "other.onnx"}, ["model is 'other.onnx'", "there is no file"]),
        ({"model": "net.pb"}, ["model is 'net.pb'; it must be the path of an .onnx, .bson or .jld2 file"]),
        ({"model": 3}, ["model is 3"]),
        ({"layers": ["flatten"]}, ["model and layers are both given"]),
        ({"weights": {"seed": 1}}, ["model and weights are both given"]),
        ({"architecture": "resnet18"}, ["model and architecture are both given"]),
        ({"labels": ["cat", "dog"]}, ["labels has 2 names, and the network has 3 outputs"]),
        ({"input": "gray28"}, ["it takes images of 3 channels, 10 × 8 pixels"]),
        ({"input": {"name": "i", "size": [10, 8]}}, ["channels is missing"]),
        ({"output": "z"}, ["there is no output 'z'; its outputs are y"]),
        ({"rename": {}}, ["'rename' is unknown"]),
    ],
)
def test_a_mistake_in_it_is_a_sentence(net, tmp_path, changes, said):
    with pytest.raises(StudyError) as caught:
        load_spec(spec_with(tmp_path, **changes))
    for words in said:
        assert words in str(caught.value)


def test_an_output_may_be_a_number(net, tmp_path):
    """As PyTorch's older exporter names those that it is given no name for."""
    model = onnx.load(net)
    model.graph.node[-1].output[0] = model.graph.output[0].name = "20"
    onnx.save(model, net)
    assert load_spec(spec_with(tmp_path, output=20)).weights["output"] == "20"
    with pytest.raises(StudyError, match="there is no output '21'; its outputs are 20"):
        load_spec(spec_with(tmp_path, output=21))


def test_an_output_without_a_model_is_said(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text(
        yaml.safe_dump({**SAID, "output": "y", "layers": ["flatten", {"dense": 3}], "weights": {"seed": 1}})
    )
    with pytest.raises(StudyError, match="output is given, which only a model has"):
        load_spec(path)


def test_without_the_package_onnx_the_ways_out_are_said(net, tmp_path, monkeypatch):
    spec_path = spec_with(tmp_path)
    for name in [name for name in sys.modules if name.startswith("promptflux.classifiers.importers")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(
        StudyError, match=r"with the Python package onnx, which is not there.*pip install onnx.*convert\.py"
    ):
        load_spec(spec_path)


# The command -----------------------------------------------------------------------------------


def test_a_model_becomes_yaml_and_weights(net, tmp_path, capsys):
    spec = convert.main([str(net)])
    text = (tmp_path / "net.yaml").read_text()
    assert text.startswith("""\
description: Converted from net.onnx.
input: {name: rgb10x8, size: [10, 8], channels: rgb}
layers:
  - conv: {out: 4, kernel: 3, stride: 2, padding: 1}
  - residual:
      body:
        - conv: {out: 4, kernel: 1, bias: false}
      activation: relu
  - globalmeanpool
  - flatten
  - dense: 3
labels: [label 1, label 2, label 3]
weights: {checkpoint: net.safetensors, sha256: """)
    assert load_spec(tmp_path / "net.yaml").to_dict() == spec.to_dict()
    told = capsys.readouterr().err
    assert "6 layers" in told and "write them into net.yaml" in told
    assert float(re.search(r"up to (\S+) of values", told)[1]) < 1e-4
    import_weights.main(
        spec=spec.source,
        weights=str(spec.weights_path),
        model=str(tmp_path / "m.h5"),
        architecture=str(tmp_path / "a"),
    )
    images = image(2, *SHAPE)
    found = (
        Network(spec).load(load_model(tmp_path / "m.h5")[1]).eval()(torch.from_numpy(images)).detach().numpy()
    )
    np.testing.assert_allclose(found, run_onnx(net, images), rtol=1e-5, atol=1e-5)


def test_weights_that_are_turned_are_written_as_they_are(tmp_path):
    """A matrix that comes transposed lies in memory as it was before."""
    matrix = image(3, 5)
    nodes = [
        node("GlobalAveragePool", ["x"], ["g"]),
        node("Flatten", ["g"], ["f"]),
        node("MatMul", ["f", "m"], ["y"]),
    ]
    onnx.save(model_of(nodes, {"m": matrix}, (1, *SHAPE)), tmp_path / "net.onnx")
    spec = convert.main([str(tmp_path / "net.onnx")])
    assert np.array_equal(load_file(spec.weights_path)["dense1.weight"], matrix.T)


def test_input_and_labels_of_a_spec_are_kept(net, tmp_path):
    spec = convert.main([str(spec_with(tmp_path, description="Mine.")), str(tmp_path / "edited.yaml")])
    of_model = load_spec(tmp_path / "my_net.yaml")
    assert (spec.input, spec.labels, spec.layers, spec.about) == (
        of_model.input,
        of_model.labels,
        of_model.layers,
        "Mine.",
    )


def test_labels_of_a_file_go_where_the_spec_goes(net, tmp_path):
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    (tmp_path / "elsewhere").mkdir()
    target = tmp_path / "elsewhere/edited.yaml"
    convert.main([str(spec_with(tmp_path, labels="names.txt")), str(target)])
    assert load_spec(target).labels == ("red", "green", "blue")


def test_equal_models_make_equal_bytes(net, tmp_path):
    for name in ("a", "b"):
        convert.main([str(net), str(tmp_path / f"{name}.yaml")])
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()
    assert (tmp_path / "a.yaml").read_text().replace("a.safe", "b.safe") == (tmp_path / "b.yaml").read_text()


def test_what_is_there_is_not_written_over(net, tmp_path):
    (tmp_path / "net.safetensors").write_text("mine")
    with pytest.raises(StudyError, match=r"net\.safetensors is there already"):
        convert.main([str(net)])
    assert (tmp_path / "net.safetensors").read_text() == "mine" and not (tmp_path / "net.yaml").exists()


def test_a_size_that_the_file_leaves_open_is_asked_for(tmp_path):
    nodes = [node("GlobalMaxPool", ["x"], ["g"]), node("Flatten", ["g"], ["y"])]
    path = tmp_path / "any.onnx"
    onnx.save(model_of(nodes, {}, ("n", 3, "h", "w")), path)
    with pytest.raises(StudyError, match="it takes images of any size.*--input rgb224"):
        convert.main([str(path)])
    (tmp_path / "names.txt").write_text("red\ngreen\nblue\n")
    spec = convert.main([str(path), "--input", "rgb32", "--labels", str(tmp_path / "names.txt")])
    assert spec.input.shape == (3, 32, 32) and spec.labels == ("red", "green", "blue")


def test_a_mistake_ends_the_command_in_a_sentence(tmp_path):
    command = [sys.executable, str(WORKFLOW / "scripts/convert.py"), str(tmp_path / "none.onnx")]
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 1
    assert run.stderr == f"{tmp_path}/none.onnx: it cannot be read (No such file or directory).\n"

"""Classifiers as ONNX files: checked by the onnx package, run by ONNX Runtime, and read back."""

import json
import re

import numpy as np
import onnx
import pytest
import torch
from onnxruntime import InferenceSession
from support.flux import random_spec, write_weights
from support.onnx_models import image
from support.specs import write_spec

from promptflux.classifiers.importers.onnx_graph import read_network
from promptflux.classifiers.kinds import KINDS
from promptflux.classifiers.network import Network
from promptflux.classifiers.onnx_export import write_onnx
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_weights
from promptflux.errors import StudyError

SPECS = 40


def exported(folder, spec, seed=1):
    """An ONNX file of a spec, and the weights in it."""
    weights = load_weights(write_weights(folder, spec, seed), spec)
    path = folder / f"{spec.name}.onnx"
    write_onnx(path, spec, weights)
    return path, weights


def in_onnx_runtime(path, images):
    session = InferenceSession(str(path), providers=["CPUExecutionProvider"])
    [found] = session.run(None, {"images": images})
    return found


def in_pytorch(spec, weights, images):
    with torch.inference_mode():
        *_, (_, values) = Network(spec).load(weights).eval().outputs(torch.from_numpy(images))
    return values.flatten(1).numpy()


def test_random_networks_of_every_kind_give_what_pytorch_gives(tmp_path):
    seen = set()
    for seed in range(SPECS):
        spec = random_spec(tmp_path, f"r{seed}", seed, blocks=seed % 2 == 0, rare=True)
        try:
            path, weights = exported(tmp_path, spec, seed)
        except StudyError as error:
            assert re.search(
                "maxpool.* ONNX has no maximum over windows of different|lrn.* of an even size",
                str(error),
            )
            continue
        images = image(3, *spec.input.shape, seed=seed)
        np.testing.assert_allclose(
            in_onnx_runtime(path, images),
            in_pytorch(spec, weights, images),
            rtol=1e-4,
            atol=1e-4,
            err_msg=f"{seed}",
        )
        seen |= {layer.kind for layer in spec.walk()} | {layer.activation for layer in spec.walk()}
    assert seen == set(KINDS)


def test_what_is_written_is_read_back_as_the_same_network(tmp_path):
    layers = [
        {"conv": {"out": 6, "kernel": 3, "padding": [1, 0, 2, 1], "activation": "relu6"}},
        {"batchnorm": {"eps": 0.001, "activation": "silu"}},
        {"maxpool": {"kernel": 3, "stride": 2, "padding": 1}},
        {
            "residual": {
                "body": [{"conv": {"out": 6, "kernel": 1, "bias": False, "activation": "gelu"}}],
                "activation": "mish",
            }
        },
        {"parallel": {"branches": [[], [{"conv": {"out": 2, "kernel": 1, "activation": "hardswish"}}]]}},
        {
            "scale": {
                "gate": ["globalmeanpool", {"conv": {"out": 8, "kernel": 1, "activation": "hardsigmoid"}}]
            }
        },
        {"meanpool": {"kernel": 2, "ceil_mode": True}},
        {"leaky_relu": {"slope": 0.25}},
        "globalmaxpool",
        "flatten",
        {"dense": {"out": 5, "activation": {"elu": {"alpha": 0.5}}}},
        {"dense": 3},
        "softmax",
    ]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    path, weights = exported(tmp_path, spec)
    read = read_network(path)
    again = load_spec(spec.path, value={"input": {"name": "gray12x10", "size": [12, 10], "channels": "gray"},
                                        "layers": read.spec_layers(), "labels": list(spec.labels), "weights": {"seed": 1}})  # fmt: skip
    assert again.to_dict() == spec.to_dict()
    same = read.weights(again.layers)
    assert all(np.array_equal(same[name], weights[name]) for name in weights)


def test_a_file_says_what_it_takes_and_gives(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    path, _ = exported(tmp_path, spec)
    model = onnx.load(path)
    assert [value.name for value in model.graph.output] == ["probabilities"]
    about = {entry.key: json.loads(entry.value) for entry in model.metadata_props}
    assert about == {"input": spec.input.to_dict(), "labels": list(spec.labels)}
    assert [node.name for node in model.graph.node][:4] == ["conv1", "conv1_relu", "maxpool1", "conv2"]
    assert "conv1/weight" in {tensor.name for tensor in model.graph.initializer}
    assert in_onnx_runtime(path, image(5, 1, 12, 10)).sum(1) == pytest.approx(np.ones(5))
    logits = load_spec(write_spec(tmp_path, "logits", layers=["flatten", {"dense": 3}]))
    assert onnx.load(exported(tmp_path, logits)[0]).graph.output[0].name == "logits"


def test_equal_classifiers_make_equal_bytes(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    path, weights = exported(tmp_path, spec)
    before = path.read_bytes()
    write_onnx(path, spec, weights)
    assert path.read_bytes() == before


def test_what_onnx_has_no_operator_for_is_said(tmp_path):
    layers = [{"residual": {"body": [{"conv": {"out": 2, "kernel": 1}}, {"maxpool": {"size": [5, 3]}}],
                            "shortcut": [{"meanpool": {"size": [5, 3]}}, {"conv": {"out": 2, "kernel": 1}}]}},
              "flatten", {"dense": 3}]  # fmt: skip
    spec = load_spec(write_spec(tmp_path, layers=layers))
    with pytest.raises(
        StudyError, match=r"small\.yaml: residual1\.maxpool1 cannot be written as ONNX: ONNX has no maximum"
    ):
        exported(tmp_path, spec)
    assert not (tmp_path / "small.onnx").exists()


def test_means_of_windows_of_different_sizes(tmp_path):
    spec = load_spec(write_spec(tmp_path, layers=[{"meanpool": {"size": [5, 3]}}, "flatten", {"dense": 3}]))
    path, weights = exported(tmp_path, spec)
    images = image(2, 1, 12, 10)
    np.testing.assert_allclose(
        in_onnx_runtime(path, images), in_pytorch(spec, weights, images), rtol=1e-4, atol=1e-5
    )

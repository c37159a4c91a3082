"""Kinds of layer against the definitions of ONNX, by the reference implementation of its operators."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from support.layers import run

OPSET = 22


def reference(operator, maps, weights=(), **attributes):
    """What ONNX's own implementation of an operator makes of `maps`; weights: its further inputs."""
    inputs = [maps, *weights]
    names = [f"input{number}" for number in range(len(inputs))]
    node = helper.make_node(operator, names, ["output"], **attributes)
    shapes = [list(value.shape) for value in inputs]
    known = list(map(helper.make_tensor_value_info, names, [TensorProto.FLOAT] * len(names), shapes))
    output = helper.make_tensor_value_info("output", TensorProto.FLOAT, list("nchw"))
    graph = helper.make_graph([node], "one", known, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    onnx.checker.check_model(model)
    feed = {name: np.asarray(value, dtype=np.float32) for name, value in zip(names, inputs, strict=True)}
    return ReferenceEvaluator(model).run(None, feed)[0]


# Layer, operator, attributes, and the parameters that are its further inputs.
CASES = [
    ("relu", "Relu", {}, []),
    ("sigmoid", "Sigmoid", {}, []),
    ("tanh", "Tanh", {}, []),
    ("mish", "Mish", {}, []),
    ("selu", "Selu", {}, []),
    ("softplus", "Softplus", {}, []),
    ("hardswish", "HardSwish", {}, []),
    ({"hardsigmoid": {"alpha": 0.2}}, "HardSigmoid", {}, []),
    ("hardsigmoid", "HardSigmoid", {"alpha": 1 / 6}, []),
    ("leaky_relu", "LeakyRelu", {}, []),
    ({"leaky_relu": {"slope": 0.3}}, "LeakyRelu", {"alpha": 0.3}, []),
    ("elu", "Elu", {}, []),
    ({"elu": {"alpha": 0.5}}, "Elu", {"alpha": 0.5}, []),
    ("gelu", "Gelu", {}, []),
    ({"gelu": {"approximate": "tanh"}}, "Gelu", {"approximate": "tanh"}, []),
    ({"lrn": {"size": 3, "alpha": 0.5}}, "LRN", {"size": 3, "alpha": 0.5}, []),
    ({"lrn": {"size": 5, "alpha": 0.1, "beta": 0.5, "k": 2}}, "LRN",
     {"size": 5, "alpha": 0.1, "beta": 0.5, "bias": 2.0}, []),
    ({"layernorm": {"over": "all", "eps": 1e-3}}, "LayerNormalization", {"axis": 1, "epsilon": 1e-3}, ["weight", "bias"]),
    ({"groupnorm": {"groups": 3, "eps": 1e-3}}, "GroupNormalization", {"num_groups": 3, "epsilon": 1e-3}, ["weight", "bias"]),
    ({"groupnorm": 3}, "InstanceNormalization", {}, ["weight", "bias"]),
    ("globalmeanpool", "GlobalAveragePool", {}, []),
    ("globalmaxpool", "GlobalMaxPool", {}, []),
]  # fmt: skip
WINDOW = {"kernel": [3, 2], "stride": [2, 3], "padding": [1, 0, 0, 1]}
ONNX_WINDOW = {"kernel_shape": [3, 2], "strides": [2, 3], "pads": [1, 0, 0, 1]}
SAME = {"kernel": 3, "stride": 2, "padding": "same"}
ONNX_SAME = {"kernel_shape": [3, 3], "strides": [2, 2], "auto_pad": "SAME_UPPER"}
CASES += [
    ({"conv": {"out": 4, **WINDOW}}, "Conv", ONNX_WINDOW, ["weight", "bias"]),
    ({"conv": {"out": 6, "groups": 3, "bias": False, **WINDOW}}, "Conv", ONNX_WINDOW | {"group": 3}, ["weight"]),
    ({"conv": {"out": 3, "groups": 3, **SAME}}, "Conv", ONNX_SAME | {"group": 3}, ["weight", "bias"]),
    ({"maxpool": WINDOW}, "MaxPool", ONNX_WINDOW, []),
    ({"maxpool": WINDOW | {"ceil_mode": True}}, "MaxPool", ONNX_WINDOW | {"ceil_mode": 1}, []),
    ({"maxpool": {"kernel": 2, "stride": 1, "dilation": 2}}, "MaxPool",
     {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [1, 1]}, []),
    ({"maxpool": SAME}, "MaxPool", ONNX_SAME, []),
    ({"meanpool": WINDOW | {"count_include_pad": False}}, "AveragePool", ONNX_WINDOW, []),
    ({"meanpool": WINDOW}, "AveragePool", ONNX_WINDOW | {"count_include_pad": 1}, []),
    ({"meanpool": WINDOW | {"ceil_mode": True, "count_include_pad": False}}, "AveragePool",
     ONNX_WINDOW | {"ceil_mode": 1}, []),
    ({"meanpool": SAME}, "AveragePool", ONNX_SAME, []),
]  # fmt: skip


@pytest.mark.parametrize(("layer", "operator", "attributes", "parameters"), CASES)
def test_a_layer_is_what_onnx_defines(tmp_path, layer, operator, attributes, parameters):
    maps, _, values, own = run(tmp_path, layer)
    # The implementation of LRN counts the images where it should count the channels; so as many of the one as of the other.
    count = maps.shape[1] if operator == "LRN" else len(maps)
    maps, values = maps[:count], values[:count]
    wanted = reference(operator, maps, [own[name] for name in parameters], **attributes)
    np.testing.assert_allclose(values.numpy(), wanted, rtol=1e-4, atol=1e-5)
    assert set(own) == set(parameters)


def test_the_activation_that_is_learned_is_prelu(tmp_path):
    maps, _, values, own = run(tmp_path, "prelu")
    np.testing.assert_allclose(values, reference("PRelu", maps, [own["weight"][:, None, None]]), rtol=1e-6)


def test_layernorm_of_pixels_is_that_of_the_last_axis_where_channels_come_last(tmp_path):
    maps, _, values, own = run(tmp_path, "layernorm")
    wanted = reference("LayerNormalization", maps.permute(0, 2, 3, 1), own.values(), axis=-1)
    np.testing.assert_allclose(values.permute(0, 2, 3, 1), wanted, rtol=1e-4, atol=1e-5)


def test_zeros_around_are_pad(tmp_path):
    maps, _, values, _ = run(tmp_path, {"pad": [1, 2, 3, 0]})
    wanted = np.pad(maps, [(0, 0), (0, 0), (1, 3), (2, 0)])
    assert np.array_equal(values, wanted)

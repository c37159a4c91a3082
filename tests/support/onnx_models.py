"""ONNX models for the tests, and what this project and ONNX Runtime make of them."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from promptflux.classifiers.importers.onnx_graph import read_network
from promptflux.classifiers.importers.onnx_runtime import run_onnx
from promptflux.classifiers.network import Network
from promptflux.classifiers.spec import resolved_layers


def network_of(path: Path, shape: tuple) -> Network:
    """The network of an ONNX file for images of `shape`, (C, H, W), in PyTorch, with its weights."""
    read = read_network(path, shape)
    layers = resolved_layers(path.name, read.spec_layers(), shape)
    walked = [layer for top in layers for layer in top.walk()]
    parameters = {f"{layer.name}/{name}": size for layer in walked for name, size in layer.parameters.items()}
    description = SimpleNamespace(layers=layers, parameters=parameters, source=path.name)
    return Network(description).load(read.weights(layers)).eval()


def outputs(network: Network, images: np.ndarray) -> np.ndarray:
    """What the last layer of a network gives for images [N, C, H, W]."""
    values = torch.tensor(images)
    with torch.inference_mode():
        for _, given in network.outputs(values):
            values = given
    return values.numpy()


def kinds(network: Network) -> list[str]:
    """The kinds of the layers of a network, those inside of blocks, too; an activation after a `+`."""
    return [
        layer.kind + (f"+{layer.activation}" if layer.activation != "identity" else "")
        for top in network.description.layers
        for layer in top.walk()
    ]


def model_of(nodes: list, weights: dict, shape: tuple, opset: int = 17, end: str = "y") -> onnx.ModelProto:
    """A model of nodes from `x`, of `shape` with the batch first, to `end`; weights: arrays by name."""
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def image(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def agree(path: Path, shape: tuple, images: int = 2) -> Network:
    """The network of an ONNX file, after it has given what ONNX Runtime gives."""
    network = network_of(path, shape)
    put = image(images, *shape)
    found = outputs(network, put).reshape(images, -1)
    np.testing.assert_allclose(found, run_onnx(path, put), rtol=1e-4, atol=1e-5)
    return network

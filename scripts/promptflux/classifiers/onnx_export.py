"""A classifier as an ONNX file, which ONNX Runtime and others run without this project."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Block, Layer, Shape
from promptflux.classifiers.kinds import KINDS, activation_layer
from promptflux.errors import StudyError
from promptflux.files.whole import whole

# The newest that everything of the last years reads; what came later is written in the operators of then.
OPSET, IR_VERSION = 17, 8
MOST_BYTES = 2**31 - 1  # of a file with its weights inside
INPUT = "images"


def write_onnx(path: str | Path, description: Description, weights: Mapping[str, np.ndarray]) -> None:
    """Write a classifier as an ONNX file; equal content makes equal bytes.

    Its input `images` is float32 [N, C, H, W], normalized as the description's input says, which lies in the file's metadata
    as JSON (`input`, `labels`). Its one output, [N, K], is `probabilities` where the network ends in a softmax, else
    `logits`. Nodes, values and weights have the names of the layers. Raises StudyError for a layer that ONNX has no
    operators for.
    """
    size = 4 * sum(map(prod, description.parameters.values()))
    if size > MOST_BYTES:
        raise StudyError(
            f"{description.source}: its weights have {size:,} bytes, and an ONNX file has at most {MOST_BYTES:,}."
        )
    graph = OnnxGraph(description.source, weights)
    end = graph.chain(description.layers, INPUT)
    if len(description.layers[-1].shape) > 1:
        graph.scope = "flattened"
        end = graph.add("Flatten", end, axis=1)
    name = "probabilities" if description.layers[-1].kind == "softmax" else "logits"
    graph.scope = name
    graph.add("Identity", end)
    shapes = {INPUT: description.input.shape, name: (len(description.labels),)}
    given, made = (
        helper.make_tensor_value_info(value, TensorProto.FLOAT, ["N", *shape])
        for value, shape in shapes.items()
    )
    model = helper.make_model(
        helper.make_graph(graph.nodes, description.name, [given], [made], graph.constants),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name="promptflux",
    )
    about = {"input": description.input.to_dict(), "labels": description.labels}
    helper.set_model_props(
        model, {key: json.dumps(value, ensure_ascii=False) for key, value in about.items()}
    )
    checker.check_model(model)
    with whole(path) as partial:
        partial.write_bytes(model.SerializeToString(deterministic=True))


class OnnxGraph:
    """The nodes and constants of a graph that is being written.

    What a kind of layer adds is named after the layer.
    """

    def __init__(self, source: str, weights: Mapping[str, np.ndarray]):
        self.source, self.weights = source, weights
        self.nodes: list = []
        self.constants: list = []
        self.scope = ""
        self.names: set[str] = {INPUT}

    def chain(self, layers: Iterable[Layer], values: str) -> str:
        """Add layers one after the other. values: the name of what the first takes. The name of what the last gives."""
        for layer in layers:
            values = self.layer(layer, values)
        return values

    def layer(self, layer: Layer, values: str) -> str:
        kind = KINDS[layer.kind]
        ends = [self.chain(branch, values) for branch in layer.branches]
        try:
            self.scope = layer.name
            if isinstance(kind, Block):
                given = kind.onnx_join(self, layer, values, ends)
            else:
                given = kind.onnx(self, layer, values)
            if layer.activation != "identity":
                self.scope = f"{layer.name}_{layer.activation}"
                given = KINDS[layer.activation].onnx(self, activation_layer(layer), given)
        except StudyError as error:
            raise StudyError(f"{self.source}: {layer.name} cannot be written as ONNX: {error}.") from None
        return given

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of one output. inputs: the names of values, "" for one that is not given. The name of what it gives."""
        name = self._name(operator)
        self.nodes.append(helper.make_node(operator, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values: Any, dtype: Any = np.float32) -> str:
        """Add numbers; the name of them."""
        name = self._name("constant")
        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(values, dtype), name))
        return name

    def parameter(self, layer: Layer, parameter: str, more_axes: int = 0) -> str:
        """Add a weight of a layer, with more axes of 1 behind its own; its name, `{layer}/{parameter}`."""
        name = f"{layer.name}/{parameter}"
        array = np.ascontiguousarray(self.weights[name], np.float32)
        self.constants.append(numpy_helper.from_array(array.reshape(array.shape + (1,) * more_axes), name))
        return name

    def per_channel(self, layer: Layer, parameter: str) -> str:
        """Add a weight with one number for each channel, which is to be laid over what the layer gives."""
        return self.parameter(layer, parameter, len(layer.shape) - 1)

    def ones(self, shape: Shape) -> str:
        return self.constant(np.ones(shape))

    def _name(self, what: str) -> str:
        """The scope itself for its first node, else with the operator, and a number if that is not enough."""
        names = [self.scope] if what != "constant" else []
        name = next(
            name for name in [*names, *self._numbered(f"{self.scope}/{what}")] if name not in self.names
        )
        self.names.add(name)
        return name

    def _numbered(self, name: str) -> Iterable[str]:
        return [name, *(f"{name}_{number}" for number in range(2, 30))]

"""From an ONNX graph to the layers of a spec and their weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import prod
from pathlib import Path

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from promptflux.classifiers.importers.entries import Entry, Network
from promptflux.classifiers.importers.onnx_file import read_onnx
from promptflux.classifiers.importers.onnx_nodes import (
    UNKNOWN,
    Node,
    Operator,
    Tensor,
    Value,
    dims_of,
    name_of,
)
from promptflux.classifiers.importers.series import entries_of
from promptflux.classifiers.importers.steps import INPUT, Step, Unsupported
from promptflux.classifiers.kind import Shape, shape_text
from promptflux.classifiers.spec import MOST_VALUES
from promptflux.errors import StudyError, plain, reason, shown
from promptflux.registry import entries

OLDEST, NEWEST = 6, onnx.defs.onnx_opset_version()
STANDARD = ("", "ai.onnx")
# What may be computed when all inputs are constants: the shape arithmetic of exporters, and weights that are prepared.
FOLDED = frozenset(
    "Abs Add And BatchNormalization Cast CastLike Ceil Clip Concat Constant ConstantOfShape Div Equal Erf Exp Expand Flatten "
    "Floor Gather Greater Identity Less Log Max Min Mod Mul Neg Not Or Pow Range Reciprocal ReduceL2 ReduceMax ReduceMean "
    "ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Shape Sigmoid Size Slice Split Sqrt Squeeze Sub Sum Tanh "
    "Tile Transpose Unsqueeze Where".split()
)
MOST_ALIKE = (
    6  # nodes that one sentence names, of those of one operator that cannot be carried over for one reason
)
MOST_SIDE = 9999  # of an image, as in a spec
MOST_FOLDED = 2**29  # values of them all, 2 GiB
# Those whose inputs are laid over each other, so that two small ones can make a large one.
OVERLAID = frozenset("Add And Div Equal Greater Less Max Min Mod Mul Or Pow Sub Sum Where".split())
# What an image is converted to before a network takes it, which are floats all along.
FLOATS = (
    onnx.TensorProto.FLOAT,
    onnx.TensorProto.FLOAT16,
    onnx.TensorProto.DOUBLE,
    onnx.TensorProto.BFLOAT16,
)


# The graph ---------------------------------------------------------------------------------------


def read_network(path: str | Path, shape: Shape | None = None, output: str | None = None) -> Network:
    """The network of an ONNX file.

    shape: of an image, (C, H, W), as the spec's input has it; None for the file's own. output: the output to take, if
    it has several. Raises StudyError with a sentence for each node that cannot be carried over.
    """
    return _Graph(path).network(shape, output)


def input_shape(path: str | Path) -> Shape:
    """The shape (C, H, W) of the images that an ONNX file takes. StudyError if it leaves its size open."""
    return _Graph(path).own_shape()


def image_axes(path: str | Path, shape: Shape) -> str:
    """The axes of the images of `shape`, (C, H, W), that an ONNX file takes: "nchw" or "nhwc"."""
    return _Graph(path).input_tensor(shape)[1].axes


class _Graph:
    def __init__(self, path: str | Path):
        self.where = plain(path)
        self.model, self.files = read_onnx(path)
        self.graph = self.model.graph
        self.opset = self._opset()
        self.notes: list[str] = []
        self.problems: list[tuple[str, str]] = []
        self.operators = operators()
        self.strange = False
        self.attention: list[str] = []
        self.folded_values = 0

    def _opset(self) -> int:
        versions = [entry.version for entry in self.model.opset_import if entry.domain in STANDARD]
        version = versions[0] if versions else 0
        if not OLDEST <= version <= NEWEST:
            raise StudyError(
                f"{self.where}: it is written in opset {version}; opsets {OLDEST} to {NEWEST} are read."
            )
        return version

    def image(self) -> tuple[str, list[int]]:
        """The name and dims of the one input, 0 for what is open."""
        weights = {tensor.name for tensor in self.graph.initializer}
        inputs = [value for value in self.graph.input if value.name not in weights]
        if len(inputs) != 1:
            names = ", ".join(plain(value.name) for value in inputs) or "none"
            raise StudyError(f"{self.where}: it must have one input, the image, and has {names}.")
        kind = inputs[0].type.tensor_type
        dims = [max(0, dim.dim_value) for dim in kind.shape.dim]
        if kind.elem_type not in FLOATS or len(dims) != 4:
            type_name = onnx.TensorProto.DataType.Name(kind.elem_type).lower()
            raise StudyError(
                f"{self.where}: its input {plain(inputs[0].name)} is {type_name} [{shape_text(tuple(dims))}]; "
                f"it must be float [N, C, H, W] or [N, H, W, C]."
            )
        return inputs[0].name, dims

    def channels_first(self, dims: list[int]) -> Shape:
        """The shape (C, H, W) of the file's own dims without the batch."""
        last = dims[2] in (1, 3) and dims[0] not in (1, 3)
        return (dims[2], dims[0], dims[1]) if last else (dims[0], dims[1], dims[2])

    def own_shape(self) -> Shape:
        """The shape (C, H, W) that the file itself says."""
        shape = self.channels_first(self.image()[1][1:])
        if max(shape) > MOST_SIDE:
            raise StudyError(
                f"{self.where}: it takes images of {shape_text(shape)}; at most {MOST_SIDE} pixels a side are taken."
            )
        if not all(shape):
            raise StudyError(
                f"{self.where}: it takes images of any size; say the one that they are to have, such as --input rgb224."
            )
        return shape

    def input_tensor(self, shape: Shape | None) -> tuple[str, Tensor]:
        name, dims = self.image()
        own = self.channels_first(dims[1:])
        shape = shape or self.own_shape()
        fits = [
            axes
            for axes, wanted in (("nchw", shape), ("nhwc", (*shape[1:], shape[0])))
            if all(side in (0, wish) for side, wish in zip(dims[1:], wanted, strict=True))
        ]
        if not fits:
            channels, height, width = (side or "any" for side in own)
            raise StudyError(
                f"{self.where}: it takes images of {channels} channels, {height} × {width} pixels, and the spec's input has "
                f"{shape[0]} channels, {shape[1]} × {shape[2]} pixels."
            )
        axes = "nhwc" if "nhwc" in fits and own[0] == dims[3] != dims[1] else fits[0]
        step = Step(INPUT, (), shape, "the input")
        return name, Tensor(step, dims_of(step, axes, dims[0] or 1), axes)

    def output_name(self, wanted: str | None) -> str:
        names = [value.name for value in self.graph.output]
        if wanted is None and len(names) == 1:
            return names[0]
        if wanted is None or wanted not in names:
            has = f"its outputs are {', '.join(map(plain, names))}"
            raise StudyError(
                f"{self.where}: {has}; name the one with the labels, such as `output: {plain(names[0])}`."
                if wanted is None
                else f"{self.where}: there is no output {shown(wanted)}; {has}."
            )
        return wanted

    def needed(self, output: str) -> list[onnx.NodeProto]:
        """The nodes that an output depends on, each after those that it depends on."""
        wanted, found = {output}, []
        for node in reversed(self.graph.node):
            if not wanted.isdisjoint(node.output):
                found.append(node)
                wanted.update(_names_taken(node))
        return found[::-1]

    def network(self, shape: Shape | None, wanted: str | None) -> Network:
        output = self.output_name(wanted)
        name, image = self.input_tensor(shape)
        values: dict[str, Value] = {"": None, name: image}
        for tensor in self.graph.initializer:
            values.setdefault(tensor.name, self.array(tensor))
        for proto in self.needed(output):
            for key, value in zip(proto.output, self.outputs(proto, values), strict=False):
                values[key] = value
        end = values.get(output)
        layers = []
        if not self.problems:
            try:
                layers = self.layers(end)
                self.note_end(layers)
            except Unsupported as error:
                self.problems += error.args
        if self.problems:
            raise StudyError(*self.sentences())
        return Network(layers, tuple(self.files), tuple(dict.fromkeys(self.notes)))

    def sentences(self) -> list[str]:
        alike: dict[tuple[str, str], list[str]] = {}
        for said, why in self.problems:
            alike.setdefault((said.rpartition(" ")[2], why), []).append(said)
        found = []
        for (_, why), nodes in alike.items():
            named = ", ".join(nodes[:MOST_ALIKE])
            more = f" and {len(nodes) - MOST_ALIKE} more such nodes" if len(nodes) > MOST_ALIKE else ""
            found.append(f"{self.where}: {named}{more} cannot be carried over: {why}.")
        if self.attention:
            more = f" and {len(self.attention) - 1} more" if len(self.attention) > 1 else ""
            found.append(
                f"{self.where}: {self.attention[0]}{more} multiply values by values, as attention does, and a network of "
                f"layers of this project has none."
            )
        if self.strange:
            known = ", ".join(sorted(self.operators))
            found.append(f"{self.where}: the operators that are carried over are {known}.")
        return found

    def layers(self, end: Value) -> list[Entry]:
        """The layers of the network that ends in a value."""
        if not isinstance(end, Tensor):
            raise Unsupported(("the output", "it does not depend on the image"))
        if end.step.kind == "log_softmax":
            self.notes.append(
                f"{end.step.said} becomes a softmax: the same probabilities, without the logarithm"
            )
            end.step.kind, end.step.why = "softmax", ""
        layers = entries_of(end.step)
        if end.order is not None or end.axes not in ("nchw", "nc", "c"):
            raise Unsupported(
                (end.step.said, "the network ends in values that are in another order than its layers give")
            )
        return layers

    def note_end(self, layers: list[Entry]) -> None:
        """Note an end that a study shows otherwise."""
        if layers and "sigmoid" in (layers[-1].kind, layers[-1].settings.get("activation")):
            self.notes.append(
                "it ends in a sigmoid of each output; a study shows the softmax of what the network gives over the labels"
            )

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        try:
            array = numpy_helper.to_array(tensor)
        except Exception as error:
            raise StudyError(
                f"{self.where}: the weights {shown(tensor.name)} are damaged ({reason(error)})."
            ) from None
        if array.dtype == np.float64 and array.size > 1:
            self.notes.append("its weights of 64 bits are rounded to 32")
        # Halves and bfloat16 are exact in 32 bits.
        return array.astype(np.float32) if array.dtype.itemsize == 2 and array.dtype.kind in "fV" else array

    # Nodes ----------------------------------------------------------------------------------------

    def outputs(self, proto: onnx.NodeProto, values: Mapping[str, Value]) -> list[Value]:
        """The values of a node's outputs; UNKNOWN with a problem, if it cannot be carried over."""
        missing = [name for name in proto.input if name not in values]
        if missing:
            self.problems.append((name_of(proto), f"its input {shown(missing[0])} is of no node before it"))
            return [UNKNOWN] * len(proto.output)
        inputs = [values[name] for name in proto.input]
        unknown = any(value is UNKNOWN for value in inputs)
        try:
            read = self.operators.get(proto.op_type) if proto.domain in STANDARD else None
            constant = not any(isinstance(value, Tensor) for value in inputs)
            if constant and proto.op_type == "If" and proto.domain in STANDARD:
                return self.chosen(proto, inputs, values)
            if constant and proto.domain in STANDARD and proto.op_type in FOLDED:
                return self.folded(proto, inputs)
            if proto.op_type == "MatMul" and all(isinstance(value, Tensor) for value in inputs):
                self.attention.append(name_of(proto))
            if unknown and (read or proto.op_type in FOLDED or proto.op_type == "If"):
                return [UNKNOWN] * len(proto.output)
            if read is None:
                self.strange = True
                raise Unsupported(_why_not(proto))
            return read(Node(proto, self.opset, inputs, self.notes))
        except Unsupported as error:
            self.problems.append((name_of(proto), str(error)))
        except Exception as error:  # what a hostile node makes of NumPy
            self.problems.append((name_of(proto), f"it is not as the operator wants it ({reason(error)})"))
        return [UNKNOWN] * len(proto.output)

    def chosen(self, proto: onnx.NodeProto, inputs: list[Value], values: Mapping[str, Value]) -> list[Value]:
        """What an `If` gives whose condition is known, as exporters write a `squeeze`."""
        condition = isinstance(inputs[0], np.ndarray) and inputs[0].all()
        name = "then_branch" if condition else "else_branch"
        graph = next(attribute.g for attribute in proto.attribute if attribute.name == name)
        inside = dict(values) | {tensor.name: self.array(tensor) for tensor in graph.initializer}
        for node in graph.node:
            inside |= dict(zip(node.output, self.outputs(node, inside), strict=False))
        return [inside[output.name] for output in graph.output]

    def folded(self, proto: onnx.NodeProto, inputs: list[Value]) -> list[Value]:
        """What a node makes of constants."""
        arrays = [value for value in inputs if isinstance(value, np.ndarray)]
        if proto.op_type == "ConstantOfShape":  # a view of one value, however many they are
            attribute = next((entry.t for entry in proto.attribute if entry.name == "value"), None)
            value = numpy_helper.to_array(attribute) if attribute else np.zeros(1, np.float32)
            dims = tuple(int(side) for side in arrays[0])
            _check_size(dims)
            return [np.broadcast_to(value.reshape(()), dims)]
        if proto.op_type == "Identity":
            return [inputs[0]]
        self.folded_values += _check_size(_largest(proto.op_type, arrays))
        if self.folded_values > MOST_FOLDED:
            raise Unsupported(
                f"with it, constants come to {self.folded_values:,} values; at most {MOST_FOLDED:,} are taken"
            )
        names = [name for name in proto.input if name]
        graph = helper.make_graph(
            [proto],
            "constant",
            [
                helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
                for name, array in dict(zip(names, arrays, strict=True)).items()
            ],
            [helper.make_empty_tensor_value_info(name) for name in proto.output if name],
        )
        opset = [helper.make_opsetid("", self.opset)]
        evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opset))
        with np.errstate(all="ignore"):
            found = evaluator.run(None, dict(zip(names, arrays, strict=True)))
        return [np.asarray(value) for value in found]


def _names_taken(node: onnx.NodeProto) -> list[str]:
    """The names of the values that a node takes, those that the graphs inside of it take from outside, too."""
    inner = [entry for attribute in node.attribute if attribute.HasField("g") for entry in attribute.g.node]
    outside = [output.name for attribute in node.attribute for output in attribute.g.output]
    return [*node.input, *outside, *(name for entry in inner for name in _names_taken(entry))]


def operators() -> dict[str, Callable[[Node], list[Value]]]:
    """What reads the nodes of each operator."""
    found = entries("promptflux.classifiers.importers.onnx_operators", Operator)
    return {name: entry.read for entry in found for name in entry.names}


def _why_not(proto: onnx.NodeProto) -> str:
    if proto.domain not in STANDARD:
        return f"it is an operator of {shown(proto.domain)} and not of ONNX itself"
    if "Linear" in proto.op_type or "Integer" in proto.op_type:
        return "the network is quantized; export it with floating-point weights"
    if proto.op_type in ("If", "Loop", "Scan"):
        return "a network of layers has no branches that are chosen while it runs"
    return "no layer of a classifier computes it"


def _largest(op_type: str, arrays: list[np.ndarray]) -> Iterable[int]:
    """A shape as large as what a node makes of constants can be."""
    match op_type, arrays:
        case "Expand", [array, dims]:
            return np.broadcast_shapes(array.shape, tuple(map(int, dims)))
        case "Tile", [array, times]:
            return [int(side) * int(count) for side, count in zip(array.shape, times, strict=True)]
        case "Range", [start, stop, step]:
            return [int(abs((float(stop.item()) - float(start.item())) / float(step.item()))) + 1]
        case "Gather", [array, places]:
            return [array.size, places.size] if array.ndim > 1 else [places.size]
        case operator, _ if operator in OVERLAID:
            return np.broadcast_shapes(*(array.shape for array in arrays))
    return [sum(array.size for array in arrays)]


def _check_size(dims: Iterable[int]) -> int:
    """How many values a shape has. Unsupported if they are too many."""
    dims = [int(side) for side in dims]
    if any(side < 0 for side in dims) or prod(dims) > MOST_VALUES:
        raise Unsupported(f"it makes {shown(dims)} values; at most {MOST_VALUES:,} are taken")
    return prod(dims)

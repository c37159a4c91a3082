"""Matrix products with weights."""

import numpy as np

from promptflux.classifiers.importers.onnx_nodes import Node, Operator, Tensor, Value, described, of
from promptflux.classifiers.importers.steps import Unsupported, layer


def dense(node: Node, values: Tensor, weight: np.ndarray, bias: np.ndarray | None) -> Tensor:
    """A dense layer with weight [out, in], as the values of a vector are ordered."""
    if values.order is not None:
        ordered = np.empty_like(weight)
        ordered[:, values.order] = weight
        weight = ordered
    parameters = {"weight": weight} | ({"bias": bias} if bias is not None else {})
    settings = {"out": weight.shape[0], "bias": bias is not None}
    return of(layer("dense", values.step, node.said, settings, **parameters), values)


def gemm(node: Node) -> list[Value]:
    values = node.tensor()
    weight = node.needed(1, "matrix")
    bias = node.constant(2, "bias")
    if values.axes != "nc" or node.get("transA", 0):
        raise Unsupported(f"it takes a vector for each image, and gets {described(values)}")
    weight = weight if node.get("transB", 0) else weight.T
    weight = weight * np.float32(node.get("alpha", 1.0))
    if bias is not None:
        bias = np.broadcast_to(bias * np.float32(node.get("beta", 1.0)), (1, weight.shape[0])).reshape(-1)
    return [dense(node, values, weight, bias)]


def matmul(node: Node) -> list[Value]:
    values = node.tensor()
    weight = node.needed(1, "matrix")
    if weight.ndim != 2:
        raise Unsupported(f"its matrix has {weight.ndim} dimensions")
    if values.axes == "nc":
        return [dense(node, values, weight.T, None)]
    if values.axes == "nhwc" and values.order is None:
        # Of the channels of each place: a convolution of 1×1.
        kernel = weight.T[:, :, None, None]
        settings = {"out": kernel.shape[0], "kernel": 1, "bias": False}
        return [of(layer("conv", values.step, node.said, settings, weight=kernel), values)]
    raise Unsupported(f"it takes vectors, and gets {described(values)}")


GEMM = Operator(("Gemm",), gemm)
MATMUL = Operator(("MatMul",), matmul)

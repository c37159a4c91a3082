"""ONNX models: what is made of them is what ONNX Runtime makes of them, and what cannot be is said."""

import warnings

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from support.onnx_models import agree, image, kinds, model_of, network_of
from torch import nn
from torch.nn import functional as F

from promptflux.classifiers.importers import onnx_graph
from promptflux.classifiers.importers.onnx_graph import read_network
from promptflux.errors import StudyError

node = helper.make_node
SHAPE = (3, 16, 12)


def rand(*shape: int) -> np.ndarray:
    return image(*shape, seed=sum(shape)) / 4


def saved(tmp_path, *args, **kwargs):
    path = tmp_path / "net.onnx"
    onnx.save(model_of(*args, **kwargs), path)
    return path


# Networks as PyTorch exports them -------------------------------------------------------------


class Squeeze(nn.Module):
    """Squeeze-and-excitation with dense layers, as many write it."""

    def __init__(self, channels: int):
        super().__init__()
        self.fc = nn.Sequential(nn.Linear(channels, 4), nn.ReLU(), nn.Linear(4, channels), nn.Sigmoid())

    def forward(self, x):
        return x * self.fc(x.mean((2, 3))).view(x.size(0), -1, 1, 1)


class Inverted(nn.Module):
    """A depthwise block with an addition, or a strided one with a shortcut of its own."""

    def __init__(self, inside: int, outside: int, stride: int):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inside, 2 * inside, 1, bias=False),
            nn.BatchNorm2d(2 * inside),
            nn.SiLU(),
            nn.Conv2d(2 * inside, 2 * inside, 3, stride, 1, groups=2 * inside, bias=False),
            nn.BatchNorm2d(2 * inside),
            nn.Hardswish(),
            Squeeze(2 * inside),
            nn.Conv2d(2 * inside, outside, 1, bias=False),
            nn.BatchNorm2d(outside),
        )
        self.shortcut = nn.Conv2d(inside, outside, 1, stride) if inside != outside or stride > 1 else None

    def forward(self, x):
        return F.relu(self.body(x) + (self.shortcut(x) if self.shortcut else x))


class Everything(nn.Module):
    """A stem, residual blocks, branches side by side, a dense block, and a head that asks for the batch's size."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU6(), nn.MaxPool2d(2, 1, ceil_mode=True))
        self.blocks = nn.Sequential(Inverted(8, 8, 1), Inverted(8, 12, 2))
        self.left = nn.Conv2d(12, 4, 1)
        self.right = nn.Sequential(
            nn.Conv2d(12, 4, (1, 3), padding=(0, 1)), nn.LeakyReLU(0.1), nn.Conv2d(4, 4, 3, padding=1)
        )
        self.grow = nn.ModuleList(
            [
                nn.Sequential(nn.BatchNorm2d(8 + 4 * i), nn.GELU(), nn.Conv2d(8 + 4 * i, 4, 3, padding=1))
                for i in range(3)
            ]
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(20, 7), nn.Tanh(), nn.Linear(7, 5, bias=False))

    def forward(self, x):
        x = self.blocks(self.stem(x))
        features = [torch.cat([self.left(x), self.right(x)], 1)]
        for layer in self.grow:
            features.append(layer(torch.cat(features, 1)))
        x = F.adaptive_avg_pool2d(torch.cat(features, 1), 1)
        return self.head(x.view(x.size(0), -1)).softmax(-1)


@pytest.fixture(scope="module")
def everything():
    torch.manual_seed(1)
    network = Everything().eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 2)
    return network


def export(network, path, opset=17, **settings):
    with warnings.catch_warnings(action="ignore"):
        torch.onnx.export(
            network, (torch.rand(1, *SHAPE),), path, opset_version=opset, verbose=False, **settings
        )


BLOCKS = {"residual": 2, "scale": 2, "parallel": 4}


@pytest.mark.parametrize(("opset", "folded"), [(9, True), (11, False), (18, True)])
def test_a_network_of_the_older_exporter(everything, tmp_path, opset, folded):
    """folded: with constants computed and batch normalization part of the convolutions; else as written."""
    mode = torch.onnx.TrainingMode.EVAL if folded else torch.onnx.TrainingMode.PRESERVE
    axes = {"image": {0: "n"}} if folded else None
    export(
        everything,
        tmp_path / "net.onnx",
        opset,
        dynamo=False,
        training=mode,
        do_constant_folding=folded,
        input_names=["image"],
        dynamic_axes=axes,
    )
    found = kinds(agree(tmp_path / "net.onnx", SHAPE))
    for kind, count in BLOCKS.items():
        assert sum(name.split("+")[0] == kind for name in found) == count, found
    assert found.count("conv+silu") + found.count("batchnorm+silu") == 2
    assert found.count("conv+hardswish") + found.count("batchnorm+hardswish") == 2
    assert found[-1] == "softmax" and "gelu" in "".join(found)


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_network_of_the_newer_exporter(everything, tmp_path, dynamic):
    """Its weights lie in a file beside the model, and its functions are inlined."""
    shapes = ({0: "n"},) if dynamic else None
    export(everything, tmp_path / "net.onnx", 18, dynamo=True, dynamic_shapes=shapes, external_data=True)
    assert (tmp_path / "net.onnx.data").is_file()
    found = kinds(agree(tmp_path / "net.onnx", SHAPE))
    for kind, count in BLOCKS.items():
        assert sum(name.split("+")[0] == kind for name in found) == count, found
    assert read_network(tmp_path / "net.onnx").files == (
        str(tmp_path / "net.onnx"),
        str(tmp_path / "net.onnx.data"),
    )


# Patterns, each as some exporter writes it -------------------------------------------------------

CONV = node("Conv", ["x", "w"], ["c"], kernel_shape=[3, 3])
W = rand(4, 3, 3, 3)
CHANNELS = np.float32([0.5, -1, 2, 3]).reshape(4, 1, 1)
SCALARS = {"three": 3, "six": 6, "zero": 0, "sixth": 1 / 6, "half": 0.5, "one": 1, "root": 2**0.5, "root_half": 0.5**0.5,
           "k": 0.7978845608, "q": 0.044715, "cube": 3, "two": 2, "eps": 1e-6}  # fmt: skip
CONSTANTS = {name: np.float32(value) for name, value in SCALARS.items()} | {"w": W, "channels": CHANNELS}

PATTERNS = {
    "swish": ([node("Sigmoid", ["c"], ["s"]), node("Mul", ["s", "c"], ["y"])], ["conv+silu"]),
    "hard swish of Keras": (
        [node("Add", ["c", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["r"]),
         node("Mul", ["r", "sixth"], ["g"]), node("Mul", ["c", "g"], ["y"])],
        ["conv+hardswish"],
    ),
    "hard swish of Paddle": (
        [node("Add", ["c", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["r"]),
         node("Mul", ["c", "r"], ["g"]), node("Div", ["g", "six"], ["y"])],
        ["conv+hardswish"],
    ),
    "hard sigmoid": (
        [node("Add", ["c", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["r"]), node("Div", ["r", "six"], ["y"])],
        ["conv+hardsigmoid"],
    ),
    "hard sigmoid, of 0.2": ([node("HardSigmoid", ["c"], ["y"])], ["conv+hardsigmoid"]),
    "mish": (
        [node("Softplus", ["c"], ["s"]), node("Tanh", ["s"], ["t"]), node("Mul", ["c", "t"], ["y"])],
        ["conv+mish"],
    ),
    "gelu of PyTorch": (
        [node("Div", ["c", "root"], ["a"]), node("Erf", ["a"], ["e"]), node("Add", ["e", "one"], ["f"]),
         node("Mul", ["c", "f"], ["g"]), node("Mul", ["g", "half"], ["y"])],
        ["conv+gelu"],
    ),
    "gelu of TensorFlow": (
        [node("Mul", ["c", "root_half"], ["a"]), node("Erf", ["a"], ["e"]), node("Add", ["one", "e"], ["f"]),
         node("Mul", ["half", "c"], ["h"]), node("Mul", ["h", "f"], ["y"])],
        ["conv+gelu"],
    ),
    "gelu by tanh": (
        [node("Pow", ["c", "cube"], ["p"]), node("Mul", ["p", "q"], ["pq"]), node("Add", ["c", "pq"], ["i"]),
         node("Mul", ["i", "k"], ["ik"]), node("Tanh", ["ik"], ["t"]), node("Add", ["t", "one"], ["t1"]),
         node("Mul", ["c", "half"], ["h"]), node("Mul", ["h", "t1"], ["y"])],
        ["conv+gelu"],
    ),
    "the bias of a convolution": ([node("Add", ["c", "channels"], ["y"])], ["conv"]),
    "x + x": ([node("Add", ["c", "c"], ["y"])], ["conv", "parallel"]),
    "a pooling of one pixel": ([node("AveragePool", ["c"], ["y"], kernel_shape=[1, 1])], ["conv"]),
    "zeros around a convolution": (
        [node("Pad", ["c", "pads"], ["p"]), node("Conv", ["p", "w2"], ["y"], auto_pad="VALID")], ["conv", "conv"],
    ),
    "zeros around a maximum of what is not below 0": (
        [node("Relu", ["c"], ["r"]), node("Pad", ["r", "pads"], ["p"]), node("MaxPool", ["p"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
        ["conv+relu", "maxpool"],
    ),
    "padding of TensorFlow": ([node("MaxPool", ["c"], ["y"], kernel_shape=[3, 3], strides=[2, 2], auto_pad="SAME_UPPER")], ["conv", "maxpool"]),
    "the maximum of each map": ([node("ReduceMax", ["c"], ["m"], axes=[-1, -2], keepdims=0), node("Identity", ["m"], ["y"])], ["conv", "globalmaxpool", "flatten"]),
    "a head that flattens by two shapes": (
        [node("Shape", ["c"], ["s"]), node("Slice", ["s", "i0", "i1"], ["n"]), node("Concat", ["n", "minus"], ["t"], axis=0),
         node("Reshape", ["c", "t"], ["f"]), node("MatMul", ["f", "d"], ["m"]), node("Add", ["m", "b"], ["y"])],
        ["conv", "flatten", "dense"],
    ),
    "maps turned to channels last before they are flattened": (
        [node("Transpose", ["c"], ["l"], perm=[0, 2, 3, 1]), node("Reshape", ["l", "flat"], ["f"]), node("Relu", ["f"], ["r"]),
         node("Gemm", ["r", "d"], ["y"], transB=0)],
        ["conv", "flatten", "relu", "dense"],
    ),
    "a 1×1 convolution as a matrix product": (
        [node("Transpose", ["c"], ["l"], perm=[0, 2, 3, 1]), node("MatMul", ["l", "points"], ["m"]), node("Transpose", ["m"], ["y"], perm=[0, 3, 1, 2])],
        ["conv", "conv"],
    ),
    "the input of torchvision's Inception, channel by channel": (
        [made for c in range(3) for made in (
            helper.make_node("Gather", ["x", f"c{c}"], [f"g{c}"], axis=1), helper.make_node("Unsqueeze", [f"g{c}", "i1"], [f"u{c}"]),
            helper.make_node("Mul", [f"u{c}", "half"], [f"m{c}"]), helper.make_node("Add", [f"m{c}", f"a{c}"], [f"s{c}"]))]
        + [node("Concat", ["s0", "s1", "s2"], ["t"], axis=1), node("Conv", ["t", "w"], ["y"])],
        ["affine", "conv"],
    ),
    "channels in another order": (
        [node("Split", ["c", "halves"], ["h0", "h1"], axis=1), node("Concat", ["h1", "h0"], ["y"], axis=1)],
        ["conv", "channels", "channels", "parallel"],
    ),
    "every second pixel, and channels of zeros, as a shortcut of ResNets for CIFAR": (
        [node("Slice", ["c", "twice0", "ends", "i23", "twice2"], ["s"]), node("Pad", ["s", "channels_more"], ["y"])],
        ["conv", "maxpool", "conv"],
    ),
    "every second row, then every second column": (
        [node("Slice", ["c", "i0", "i_end", "i2", "i2"], ["s"]), node("Slice", ["s", "i0", "i_end", "i3", "i2"], ["y"])],
        ["conv", "maxpool"],
    ),
    "a gate that is laid over the maps": (
        [node("GlobalAveragePool", ["c"], ["g"]), node("Sigmoid", ["g"], ["s"]), node("Shape", ["c"], ["sides"]),
         node("Expand", ["s", "sides"], ["e"]), node("Mul", ["c", "e"], ["y"])],
        ["conv", "globalmeanpool", "sigmoid", "scale"],
    ),
    "a gray image as three channels": (
        [node("Slice", ["x", "i0", "i1", "i1"], ["g"]), node("Expand", ["g", "three_channels"], ["e"]), node("Conv", ["e", "w"], ["y"])],
        ["channels", "parallel", "conv"],
    ),
    "a gray image as three channels, of the newer exporter": (
        [node("Slice", ["x", "i0", "i1", "i1"], ["g"]), node("Tile", ["g", "three_channels"], ["e"]), node("Conv", ["e", "w"], ["y"])],
        ["channels", "parallel", "conv"],
    ),
    "blue before red": ([node("Gather", ["x", "backwards"], ["g"], axis=1), node("Conv", ["g", "w"], ["y"])], ["channels"] * 3 + ["parallel", "conv"]),
    "channels backwards": ([node("Slice", ["x", "minus", "least", "i1", "minus"], ["g"]), node("Conv", ["g", "w"], ["y"])], ["channels"] * 3 + ["parallel", "conv"]),
    "the mean of rows, then of columns": (
        [node("ReduceMean", ["c"], ["r"], axes=[3], keepdims=0), node("ReduceMean", ["r"], ["y"], axes=[2], keepdims=0)],
        ["conv", "globalmeanpool", "flatten"],
    ),
    "the maximum of columns, then of rows, whose axes stay": (
        [node("ReduceMax", ["c"], ["r"], axes=[2]), node("ReduceMax", ["r"], ["y"], axes=[3])], ["conv", "globalmaxpool"],
    ),
    "the mean of pixels in a row": (
        [node("Reshape", ["c", "pixels"], ["f"]), node("ReduceMean", ["f"], ["y"], axes=[-1], keepdims=0)],
        ["conv", "globalmeanpool", "flatten"],
    ),
    "the sum of each map": ([node("ReduceSum", ["c", "i23"], ["y"], keepdims=0)], ["conv", "globalmeanpool", "affine", "flatten"]),
    "the one pixel of each map": (
        [node("GlobalAveragePool", ["c"], ["g"]), node("Gather", ["g", "c0"], ["a"], axis=2), node("Gather", ["a", "c0"], ["y"], axis=2)],
        ["conv", "globalmeanpool", "flatten"],
    ),
    "the larger of values and a number": ([node("Max", ["zero", "c"], ["y"])], ["conv+relu"]),
    "the smaller of values and a number": ([node("Min", ["c", "half"], ["y"])], ["conv", "affine+relu", "affine"]),
    "softplus, which large values pass": (
        [node("Mul", ["c", "three"], ["t"]), node("Greater", ["t", "twenty"], ["large"]), node("Softplus", ["t"], ["s"]),
         node("Div", ["s", "three"], ["third"]), node("Where", ["large", "c", "third"], ["y"])],
        ["conv", "affine+softplus", "affine"],
    ),
    "local response normalization of PyTorch": (
        [node("Mul", ["c", "c"], ["s"]), node("Reshape", ["s", "depth"], ["r"]), node("Pad", ["r", "depth_more"], ["p"]),
         node("AveragePool", ["p"], ["a"], kernel_shape=[3, 1, 1], count_include_pad=1), node("Squeeze", ["a", "i1"], ["near"]),
         node("Mul", ["near", "three"], ["m"]), node("Add", ["m", "half"], ["sum"]), node("Pow", ["sum", "root_half"], ["power"]), node("Div", ["c", "power"], ["y"])],
        ["conv", "lrn"],
    ),
    "the lowest number around a dilated maximum, as timm pads one": (
        [node("Pad", ["c", "pads", "lowest"], ["p"]), node("MaxPool", ["p"], ["y"], kernel_shape=[2, 2], dilations=[2, 2])], ["conv", "maxpool"],
    ),
    "attention of channels by a convolution along them": (
        [node("GlobalAveragePool", ["c"], ["p"]), node("Squeeze", ["p", "minus"], ["row"]), node("Transpose", ["row"], ["line"], perm=[0, 2, 1]),
         node("Conv", ["line", "along"], ["near"], pads=[1, 1]), node("Transpose", ["near"], ["back"], perm=[0, 2, 1]),
         node("Unsqueeze", ["back", "minus"], ["points4"]), node("Sigmoid", ["points4"], ["g"]), node("Mul", ["c", "g"], ["y"])],
        ["conv", "globalmeanpool", "conv+sigmoid", "scale"],
    ),
    "attention of channels by a dilated convolution along a vector of them": (
        [node("ReduceMean", ["c"], ["p"], axes=[2, 3], keepdims=0), node("Reshape", ["p", "line_of"], ["line"]),
         node("Conv", ["line", "along", "one_bias"], ["near"], pads=[3, 1], dilations=[2]), node("Sigmoid", ["near"], ["g"]),
         node("Reshape", ["g", "points_of"], ["points4"]), node("Mul", ["c", "points4"], ["y"])],
        ["conv", "globalmeanpool", "conv+sigmoid", "scale"],
    ),
    "zeros around a maximum": ([node("Pad", ["c", "pads"], ["p"]), node("MaxPool", ["p"], ["y"], kernel_shape=[3, 3], strides=[2, 2])], ["conv", "pad", "maxpool"]),
    "zeros around a mean, of which some count": (
        [node("Pad", ["c", "pads"], ["p"]), node("AveragePool", ["p"], ["y"], kernel_shape=[3, 3], pads=[1, 1, 1, 1])], ["conv", "pad", "meanpool"],
    ),
    "a softmax of a vector": (
        [node("GlobalAveragePool", ["c"], ["g"]), node("Flatten", ["g"], ["f"]), node("Softmax", ["f"], ["y"])],
        ["conv", "globalmeanpool", "flatten", "softmax"],
    ),
    "a softmax of maps of 1×1 before they are flattened": (
        [node("GlobalAveragePool", ["c"], ["g"]), node("Softmax", ["g"], ["s"], axis=1), node("Flatten", ["s"], ["y"])],
        ["conv", "globalmeanpool", "flatten", "softmax"],
    ),
}  # fmt: skip
MORE = {
    "pads": np.int64([0, 0, 1, 0, 0, 0, 1, 2]), "w2": rand(2, 4, 3, 3), "i0": np.int64([0]), "i1": np.int64([1]),
    **{f"c{c}": np.int64(c) for c in range(3)}, **{f"a{c}": np.float32(c - 0.5) for c in range(3)}, "halves": np.int64([1, 3]),
    "i2": np.int64([2]), "i3": np.int64([3]), "i23": np.int64([2, 3]), "i_end": np.int64([2**62]), "least": np.int64([-(2**62)]),
    "twice0": np.int64([0, 0]), "twice2": np.int64([2, 2]), "ends": np.int64([2**62, 2**62]), "channels_more": np.int64([0, 1, 0, 0, 0, 2, 0, 0]),
    "three_channels": np.int64([1, 3, 1, 1]), "backwards": np.int64([2, 1, 0]), "pixels": np.int64([0, 4, -1]),
    "along": rand(1, 1, 3), "one_bias": rand(1), "line_of": np.int64([0, 1, -1]), "points_of": np.int64([0, -1, 1, 1]),
    "twenty": np.float32(20), "lowest": np.float32(-np.inf), "depth": np.int64([0, 1, 4, 14, 10]), "depth_more": np.int64([0, 0, 1, 0, 0, 0, 0, 1, 0, 0]),
    "minus": np.int64([-1]), "d": rand(4 * 14 * 10, 6), "b": rand(6), "flat": np.int64([0, -1]), "points": rand(4, 5),
}  # fmt: skip


@pytest.mark.parametrize("name", PATTERNS)
def test_what_is_written_in_several_nodes(tmp_path, name):
    nodes, wanted = PATTERNS[name]
    path = saved(
        tmp_path, [CONV, *nodes], CONSTANTS | MORE, ("n", *SHAPE)
    )  # CONV is left out where nothing takes it
    assert kinds(agree(path, SHAPE)) == wanted


def test_a_network_that_takes_channels_last(tmp_path):
    """As tf2onnx writes them: NHWC in, and NCHW inside."""
    nodes = [
        node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]),
        node("Conv", ["t", "w"], ["c"], strides=[2, 2], auto_pad="SAME_UPPER"),
        node("Clip", ["c", "zero", "six"], ["r"]),
        node("Transpose", ["r"], ["l"], perm=[0, 2, 3, 1]),
        node("ReduceMean", ["l"], ["m"], axes=[1, 2], keepdims=0),
        node("MatMul", ["m", "d"], ["product"]),
        node("Add", ["product", "b"], ["y"]),
    ]
    path = saved(tmp_path, nodes, CONSTANTS | {"d": rand(4, 5), "b": rand(5)}, ("n", 16, 12, 3))
    assert kinds(agree(path, SHAPE)) == ["conv+relu6", "globalmeanpool", "flatten", "dense"]


def test_branches_that_part_later_than_others(tmp_path):
    """Of Inception-v3: two of the four that are concatenated have their first layer in common."""
    conv = lambda put, out: node("Conv", [put, f"w_{out}"], [out])  # noqa: E731
    nodes = [conv("x", "a"), conv("x", "b"), conv("b", "b1"), conv("b", "b2"), conv("x", "e"),
             node("Concat", ["a", "b1", "b2", "e"], ["y"], axis=1)]  # fmt: skip
    weights = {f"w_{out}": rand(2, 3, 1, 1) for out in "abe"} | {
        f"w_{out}": rand(3, 2, 1, 1) for out in ("b1", "b2")
    }
    network = agree(saved(tmp_path, nodes, weights, (1, *SHAPE)), SHAPE)
    assert [layer.name for layer in network.description.layers[0].walk()] == [
        "parallel1.conv1", "parallel1.conv2", "parallel1.parallel1.conv1", "parallel1.parallel1.conv2",
        "parallel1.parallel1", "parallel1.conv3", "parallel1",
    ]  # fmt: skip


def crossing(*convs: tuple[str, str], **joins: tuple[str, list[str]]):
    """Nodes of convolutions of 1×1, (from, to), and of joins, to=(operator, from), in their order."""
    made = [node("Conv", [put, f"w_{out}"], [out]) for put, out in convs]
    made += [
        node(operator, put, [out], **({"axis": 1} if operator == "Concat" else {}))
        for out, (operator, put) in joins.items()
    ]
    weights = {
        f"w_{out}": rand(3, 3, 1, 1) + np.eye(3, dtype=np.float32)[:, :, None, None] for _, out in convs
    }
    order, known = [], {"x"}
    while made:
        order.append(
            next(
                entry for entry in made if known.issuperset(name for name in entry.input if name[:2] != "w_")
            )
        )
        made.remove(order[-1])
        known |= {*order[-1].output}
    return order, weights


CROSSING = {
    "a value that two sums take": crossing(("x", "a"), ("a", "b"), ("s", "d"), s=("Add", ["a", "b"]), y=("Add", ["d", "b"])),
    "Res2Net": crossing(("x", "a"), ("x", "b"), ("x", "c"), ("s", "d"), ("t", "e"), s=("Add", ["a", "b"]), t=("Add", ["d", "c"]), y=("Concat", ["a", "d", "e", "c"])),
    "a ladder": crossing(("x", "a"), ("x", "b"), ("s", "c"), ("t", "d"), s=("Add", ["a", "b"]), t=("Add", ["b", "a", "x"][:2]), u=("Concat", ["c", "d", "a"]), y=("Concat", ["u", "b", "x"])),
    "a block inside": crossing(("x", "a"), ("a", "b"), ("b", "c"), ("b", "d"), ("t", "e"), s=("Add", ["c", "d"]), t=("Add", ["s", "a"]), y=("Add", ["e", "s"])),
    "crossing inside of crossing": crossing(
        ("x", "a"), ("a", "b"), ("s", "c"), ("t", "d"), ("d", "e"), ("u", "f"), s=("Add", ["a", "b"]), t=("Add", ["c", "b"]), u=("Add", ["d", "e"]),
        v=("Add", ["f", "e"]), w=("Add", ["v", "s"]), y=("Add", ["w", "t"]),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CROSSING)
def test_ways_that_cross_are_carried_along(tmp_path, name):
    agree(saved(tmp_path, *CROSSING[name], ("n", *SHAPE)), SHAPE)


def test_what_is_carried_along_in_order_is_not_joined_again(tmp_path):
    nodes, weights = crossing(
        ("x", "a"), ("x", "b"), ("s", "c"), s=("Add", ["a", "b"]), y=("Concat", ["a", "c"])
    )
    network = agree(saved(tmp_path, nodes, weights, ("n", *SHAPE)), SHAPE)
    assert [layer.name for layer in network.description.layers] == ["parallel1", "parallel2"]


@pytest.mark.parametrize("seed", range(12))
def test_random_graphs_of_maps_of_one_size(tmp_path, seed):
    rng = np.random.default_rng(seed)
    values, convs, joins = ["x"], [], {}
    for i in range(9):
        some = [str(name) for name in rng.choice(values[-4:], 2)]
        if i % 2:
            joins[f"j{i}"] = ("Add", some)
            values.append(f"j{i}")
        else:
            convs.append((some[0], f"c{i}"))
            values.append(f"c{i}")
    joins["y"] = ("Concat", [str(name) for name in rng.permutation(values[1:])[:4]])
    agree(saved(tmp_path, *crossing(*convs, **joins), ("n", *SHAPE)), SHAPE)


def test_a_batch_of_one_size(tmp_path):
    nodes = [CONV, node("Reshape", ["c", "shape"], ["y"])]
    path = saved(tmp_path, nodes, {"w": W, "shape": np.int64([4, -1])}, (4, *SHAPE))
    assert kinds(agree(path, SHAPE)) == ["conv", "flatten"]


def test_half_precision_is_read_as_it_is(tmp_path):
    model = model_of([CONV, node("Relu", ["c"], ["y"])], {"w": W.astype(np.float16)}, (1, *SHAPE))
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    onnx.save(model, tmp_path / "net.onnx")
    read = read_network(tmp_path / "net.onnx")
    assert np.array_equal(read.layers[0].parameters["weight"], W.astype(np.float16).astype(np.float32))


class Squeezed(nn.Module):
    """A head that drops axes of 1."""

    def __init__(self):
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x):
        return self.head(F.adaptive_avg_pool2d(self.conv(x), 1).squeeze(-1).squeeze(-1)).sigmoid()


def test_a_branch_whose_condition_is_known(tmp_path):
    torch.manual_seed(1)
    axes = {"image": {0: "n", 2: "h", 3: "w"}}
    export(
        Squeezed().eval(), tmp_path / "net.onnx", 11, dynamo=False, input_names=["image"], dynamic_axes=axes
    )
    read = read_network(tmp_path / "net.onnx", SHAPE)
    assert kinds(agree(tmp_path / "net.onnx", SHAPE)) == [
        "conv",
        "globalmeanpool",
        "flatten",
        "dense+sigmoid",
    ]
    assert "ends in a sigmoid" in read.notes[0]
    then, other = (
        helper.make_graph([node(operator, ["c"], [f"{operator}_out"])], operator, [],
                          [helper.make_tensor_value_info(f"{operator}_out", TensorProto.FLOAT, None)])
        for operator in ("Relu", "Tanh")
    )  # fmt: skip
    nodes = [CONV, node("Shape", ["x"], ["s"]), node("Gather", ["s", "three"], ["side"]),
             node("Equal", ["side", "twelve"], ["is"]), node("If", ["is"], ["y"], then_branch=then, else_branch=other)]  # fmt: skip
    for side, kind in ((12, "relu"), (13, "tanh")):
        weights = {"w": W, "three": np.int64(3), "twelve": np.int64(side)}
        path = saved(tmp_path, nodes, weights, (1, *SHAPE))
        assert kinds(network_of(path, SHAPE)) == [f"conv+{kind}"]


def test_one_of_several_outputs(tmp_path):
    model = model_of([CONV, node("Relu", ["c"], ["y"])], {"w": W}, (1, *SHAPE))
    model.graph.output.append(helper.make_tensor_value_info("c", TensorProto.FLOAT, None))
    onnx.save(model, tmp_path / "net.onnx")
    with pytest.raises(
        StudyError, match="its outputs are y, c; name the one with the labels, such as `output: y`"
    ):
        read_network(tmp_path / "net.onnx")
    assert len(read_network(tmp_path / "net.onnx", output="c").layers) == 1
    assert read_network(tmp_path / "net.onnx", output="y").layers[0].settings["activation"] == "relu"


# What cannot be carried over -----------------------------------------------------------------------


def refused(path) -> str:
    with pytest.raises(StudyError) as caught:
        read_network(path)
    message = str(caught.value)
    assert "it is not as the operator wants it" not in message, message
    return message


def test_all_that_cannot_be_is_said_at_once(tmp_path):
    nodes = [
        CONV,
        node("Resize", ["c", "", "scales"], ["r"], name="up"),
        node("Einsum", ["r"], ["e"], name="odd", equation="nchw->nchw"),
        node("Relu", ["e"], ["y"]),
    ]
    message = refused(saved(tmp_path, nodes, {"w": W, "scales": np.float32([1, 1, 2, 2])}, (1, *SHAPE)))
    assert "'up' (Resize) cannot be carried over: no layer" in message
    assert "'odd' (Einsum) cannot be carried over: no layer" in message
    assert "are carried over are Add, AveragePool" in message and message.count("\n") == 2


def test_many_nodes_of_one_kind_are_one_sentence(tmp_path):
    """As of a quantized network, in which every second node is of that kind."""
    nodes = [node("DequantizeLinear", ["w", "one"], [f"d{i}"], name=f"node {i}") for i in range(90)]
    nodes += [node("Conv", ["x", "d0"], ["c"]), node("Sum", ["c", *(f"d{i}" for i in range(90))], ["y"])]
    weights = {"w": np.ones((3, 3, 1, 1), np.int8), "one": np.float32(1)}
    quantized, _ = refused(saved(tmp_path, nodes, weights, (1, *SHAPE))).split("\n")
    assert "'node 0' (DequantizeLinear), 'node 1' (DequantizeLinear), " in quantized
    assert "and 84 more such nodes cannot be carried over: the network is quantized" in quantized


def test_attention_is_called_what_it_is(tmp_path):
    """Although the first that cannot be carried over is how the maps become a list of places."""
    nodes = [
        node("Reshape", ["x", "places"], ["t"]),
        node("Transpose", ["t"], ["q"], perm=[0, 2, 1]),
        node("MatMul", ["q", "t"], ["a"], name="attention"),
        node("MatMul", ["a", "q"], ["y"], name="values"),
    ]
    message = refused(saved(tmp_path, nodes, {"places": np.int64([0, 3, -1])}, (1, *SHAPE)))
    assert "'attention' (MatMul) and 1 more multiply values by values, as attention does" in message


REFUSED = {
    "ways of several sizes that cross": (
        [node("GlobalAveragePool", ["x"], ["p"]), node("Conv", ["p", "w1"], ["a"]), node("Conv", ["x", "w1"], ["b"], strides=[2, 2]),
         node("GlobalAveragePool", ["b"], ["q"]), node("Conv", ["q", "w1"], ["c"]), node("Conv", ["b", "w1"], ["e"], strides=[2, 2]),
         node("GlobalAveragePool", ["e"], ["h"]), node("Add", ["a", "c"], ["s"]), node("Conv", ["s", "w1"], ["d"]), node("Add", ["d", "h"], ["t"]),
         node("Conv", ["t", "w2"], ["u"]), node("Add", ["u", "a"], ["v"]), node("Add", ["v", "c"], ["y"])],
        ["(Add)", "cross others and do not join in one place"],
    ),
    "two ways that are multiplied": (
        [node("Conv", ["x", "w1"], ["a"]), node("Conv", ["x", "w1"], ["b"]), node("Mul", ["a", "b"], ["y"])],
        ["(Mul)", "it multiplies two ways of values"],
    ),
    "a part of a gelu": ([node("Erf", ["x"], ["y"])], ["(Erf)", "it is known as part of a GELU"]),
    "a constant for each pixel": ([node("Add", ["x", "map"], ["y"])], ["16×12 constants", "one for each channel"]),
    "a transposed convolution": ([node("ConvTranspose", ["x", "w1"], ["y"])], ["(ConvTranspose)", "no layer"]),
    "a convolution in one dimension": ([node("Conv", ["x", "w3"], ["y"])], ["its kernel has 1 dimensions"]),
    "weights that are computed": ([node("Conv", ["x", "w1"], ["a"]), node("Conv", ["x", "a"], ["y"])], ["its kernel depends on the image"]),
    "a pad of copies": ([node("Pad", ["x", "pads"], ["p"], mode="reflect"), node("Conv", ["p", "w1"], ["y"])], ["'reflect'"]),
    "a pad of ones": ([node("Pad", ["x", "pads", "one"], ["y"])], ["it puts 1 around maps"]),
    "a normalization of an even number of channels": ([node("LRN", ["x"], ["y"], size=4)], ["its size is 4"]),
    "a part of each map": ([node("Slice", ["x", "two", "four", "two"], ["y"])], ["it takes 2 to 3 of axis 2"]),
    "the larger of values": ([node("Max", ["x", "x"], ["y"])], ["it compares values with values"]),
    "a mean of rows alone": ([node("ReduceMean", ["x"], ["m"], axes=[3]), node("Relu", ["m"], ["y"])], ["(ReduceMean)", "together with what reduces the other"]),
    "rows of means and columns of maxima": (
        [node("ReduceMean", ["x"], ["m"], axes=[3]), node("ReduceMax", ["m"], ["y"], axes=[2])], ["(ReduceMax)", "it reduces the axes [2]"],
    ),
    "one number laid over maps that it is no gate of": (
        [node("GlobalAveragePool", ["x"], ["p"]), node("Expand", ["p", "sides"], ["e"]), node("Relu", ["e"], ["y"])], ["(Expand)", "alone"],
    ),
    "a choice between values": ([node("Greater", ["x", "one"], ["large"]), node("Neg", ["x"], ["n"]), node("Where", ["large", "x", "n"], ["y"])], ["(Where)", "of a softplus alone"]),
    "a comparison": ([node("Greater", ["x", "one"], ["y"])], ["(Greater)", "in a softplus alone"]),
    "a quantized network": ([node("QuantizeLinear", ["x", "one"], ["q"]), node("DequantizeLinear", ["q", "one"], ["y"])], ["quantized"]),
    "another domain": ([node("FusedConv", ["x", "w1"], ["y"], domain="com.microsoft")], ["an operator of 'com.microsoft'"]),
    "batch normalization in training": (
        [node("BatchNormalization", ["x", "g", "g", "g", "g"], ["y", "m", "v"], training_mode=1)], ["exported for training"],
    ),
    "a softmax over pixels": ([node("Softmax", ["x"], ["y"], axis=3)], ["does not run over the labels"]),
    "an end in another order": ([node("Transpose", ["x"], ["y"], perm=[0, 2, 3, 1])], ["in another order"]),
    "a shape that is none": ([node("Reshape", ["x", "shape"], ["y"])], ["1×9×64, which are neither maps nor a vector"]),
    "too many values": ([node("ConstantOfShape", ["huge"], ["h"]), node("Add", ["x", "h"], ["y"])], ["at most 1,073,741,824"]),
    "too many repetitions": ([node("Tile", ["one4", "huge4"], ["h"]), node("Add", ["x", "h"], ["y"])], ["at most 1,073,741,824"]),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_carried_over_is_said(tmp_path, name):
    nodes, said = REFUSED[name]
    weights = {
        "w1": rand(3, 3, 1, 1), "w2": rand(3, 3, 1, 1), "w3": rand(4, 3, 3), "map": rand(16, 12), "one": np.float32(1),
        "pads": np.int64([0, 0, 1, 1, 0, 0, 1, 1]), "g": np.ones(3, np.float32), "shape": np.int64([1, 9, 64]),
        "two": np.int64([2]), "four": np.int64([4]), "sides": np.int64([1, 3, 16, 12]), "huge": np.int64([100_000, 100_000]), "one4": np.ones((1, 1, 1, 1), np.float32), "huge4": np.int64([1, 1, 90_000, 90_000]),
    }  # fmt: skip
    model = model_of(nodes, weights, (1, *SHAPE))
    model.opset_import.append(helper.make_opsetid("com.microsoft", 1))
    onnx.save(model, tmp_path / "net.onnx")
    message = refused(tmp_path / "net.onnx")
    for words in said:
        assert words in message, message


def test_an_image_of_another_size_is_said(tmp_path):
    path = saved(tmp_path, [node("Relu", ["x"], ["y"])], {}, ("n", *SHAPE))
    with pytest.raises(
        StudyError, match="3 channels, 16 × 12 pixels, and the spec's input has 1 channels, 28 × 28 pixels"
    ):
        read_network(path, (1, 28, 28))


def test_a_second_input_is_said(tmp_path):
    model = model_of([node("Add", ["x", "z"], ["y"])], {}, (1, *SHAPE))
    model.graph.input.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, (1, *SHAPE)))
    onnx.save(model, tmp_path / "net.onnx")
    assert "it must have one input, the image, and has x, z" in refused(tmp_path / "net.onnx")


# Files that are not sound ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS pointer"),
        (b"PK\x03\x04 and more", "a zip archive"),
        (b"<!DOCTYPE html>", "a web page"),
        (b"\x89HDF\r\n", "HDF5"),
        (b"\xff" * 100, "no ONNX model, or one that is damaged"),
        (b"\x08\x08", "no nodes"),
    ],
)
def test_a_file_that_is_no_model(tmp_path, content, said):
    path = tmp_path / "net.onnx"
    path.write_bytes(content)
    assert said in refused(path)


def test_a_model_that_is_cut_short_or_damaged_is_refused_or_read(tmp_path):
    """Never a traceback, whatever the bytes are."""
    path = saved(tmp_path, [CONV, node("Relu", ["c"], ["y"])], {"w": W}, (1, *SHAPE))
    whole, rng = path.read_bytes(), np.random.default_rng(1)
    refusals = 0
    for _ in range(150):
        content = bytearray(whole[: rng.integers(1, len(whole) + 1)])
        for place in rng.integers(0, len(content), 3):
            content[place] = rng.integers(0, 256)
        path.write_bytes(content)
        try:
            read_network(path)
        except StudyError:
            refusals += 1
    assert refusals > 100


def external(tmp_path, **says):
    """A model whose weights lie in another file, which says of them what is given."""
    model = model_of([CONV, node("Relu", ["c"], ["y"])], {}, (1, *SHAPE))
    tensor = numpy_helper.from_array(W, "w")
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in ({"location": "w.bin"} | says).items():
        tensor.external_data.add(key=key, value=str(value))
    model.graph.initializer.append(tensor)
    (tmp_path / "inside").mkdir(exist_ok=True)
    (tmp_path / "inside/net.onnx").write_bytes(model.SerializeToString())
    return tmp_path / "inside/net.onnx"


def test_weights_in_a_file_beside_the_model(tmp_path):
    path = external(tmp_path, offset=4096, length=W.nbytes)
    (path.parent / "w.bin").write_bytes(b"\0" * 4096 + W.tobytes())
    read = read_network(path)
    assert np.array_equal(read.layers[0].parameters["weight"], W)
    assert read.files == (str(path), str(path.parent / "w.bin"))


@pytest.mark.parametrize(
    ("says", "said"),
    [
        ({}, "there is no such file"),
        ({"location": "../w.bin"}, "not a file in the folder of the model"),
        ({"location": "/etc/passwd"}, "not a file in the folder of the model"),
        ({"location": ""}, "not a file in the folder of the model"),
        ({"location": "link.bin"}, "not a file in the folder of the model"),
        ({"location": "short.bin", "length": 10**12}, "1000000000000"),
        ({"location": "short.bin", "offset": -4}, "-4"),
        ({"location": "short.bin", "offset": "x"}, "'x'"),
        ({"location": "short.bin"}, "net.onnx"),
    ],
)
def test_weights_beside_the_model_that_are_not_there_or_elsewhere(tmp_path, says, said):
    path = external(tmp_path, **says)
    (tmp_path / "w.bin").write_bytes(W.tobytes())
    (path.parent / "short.bin").write_bytes(b"\0" * 8)
    (path.parent / "link.bin").symlink_to(tmp_path / "w.bin")
    assert said in refused(path)


def test_a_tensor_that_says_it_is_huge(tmp_path):
    model = model_of([CONV, node("Relu", ["c"], ["y"])], {"w": W}, (1, *SHAPE))
    model.graph.initializer[0].dims[:] = [2**40, 3, 3, 3]
    (tmp_path / "net.onnx").write_bytes(model.SerializeToString())
    assert "at most 1,073,741,824 are taken" in refused(tmp_path / "net.onnx")


def test_opsets_of_another_time(tmp_path):
    path = saved(tmp_path, [node("Relu", ["x"], ["y"])], {}, (1, *SHAPE), opset=5)
    assert f"opset 5; opsets 6 to {onnx_graph.NEWEST} are read" in refused(path)


def test_constants_that_come_to_gigabytes_are_not_made(tmp_path):
    """Each is within the limit of one, and of each the sum with the one before is asked for."""
    nodes = [node("ConstantOfShape", ["large"], ["k0"])]
    nodes += [node("Add", [f"k{number}", "one"], [f"k{number + 1}"]) for number in range(40)]
    nodes += [node("ReduceMax", ["k40"], ["m"], keepdims=0), node("Add", ["x", "m"], ["y"])]
    weights = {"large": np.int64([2**25]), "one": np.float32(1)}
    assert "constants come to" in refused(saved(tmp_path, nodes, weights, (1, *SHAPE)))


def test_images_and_values_of_absurd_sizes(tmp_path):
    path = saved(tmp_path, [node("Relu", ["x"], ["y"])], {}, (1, 3, 10**6, 10**6))
    assert "at most 9999 pixels a side" in refused(path)
    nodes = [node("Pad", ["x", "pads"], ["p"]), node("Flatten", ["p"], ["y"])]
    path = saved(tmp_path, nodes, {"pads": np.int64([0, 0, 0, 0, 0, 0, 60_000, 60_000])}, (1, *SHAPE))
    assert "60016×60012 values for an image" in refused(path)


def test_a_name_is_data(tmp_path):
    path = saved(
        tmp_path, [node("Einsum", ["x"], ["y"], name="\x1b[31m", equation="nchw->nchw")], {}, (1, *SHAPE)
    )
    assert "\x1b" not in refused(path)


def test_many_joins_do_not_unfold(tmp_path):
    """x + relu(x), a hundred times: each join stands once."""
    nodes, last = [], "x"
    for number in range(100):
        nodes += [node("Relu", [last], [f"r{number}"]), node("Add", [last, f"r{number}"], [f"s{number}"])]
        last = f"s{number}"
    network = network_of(saved(tmp_path, nodes, {}, (1, *SHAPE), end=last), SHAPE)
    assert len(network.description.layers) == 100

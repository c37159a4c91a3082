"""The parts of docs/networks.md on ONNX and Keras: each example is run as it stands there."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import helper
from support.onnx_models import image, kinds, model_of, network_of, outputs
from support.workflow import WORKFLOW

from promptflux.classifiers.spec import load_spec

PAGE = (WORKFLOW / "docs/networks.md").read_text(encoding="utf-8")


def examples(heading: str) -> list[str]:
    """The code in a part of the page."""
    part = re.search(rf"^## {heading}$(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^```\w+\n(.*?)^```", part, re.MULTILINE | re.DOTALL)


def test_a_spec_and_the_command(tmp_path):
    spec, command = examples("ONNX")
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"]),
        helper.make_node("GlobalAveragePool", ["c"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    onnx.save(model_of(nodes, {"w": image(3, 3, 7, 7)}, ("n", 3, 224, 224)), tmp_path / "net.onnx")
    name = re.match(r"# (\w+\.yaml)", spec)[1]
    (tmp_path / name).write_text(spec)
    loaded = load_spec(tmp_path / name)
    assert [layer.kind for layer in loaded.layers] == ["conv", "globalmeanpool", "flatten"]
    assert len(loaded.labels) == 3 and loaded.input.mean == (0.485, 0.456, 0.406)
    words = command.split("#")[0].split()
    assert words[:2] == ["python", "scripts/convert.py"]
    run = subprocess.run(
        [sys.executable, WORKFLOW / words[1], *words[2:]], cwd=tmp_path, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert "they give what ONNX Runtime gives" in run.stderr
    assert load_spec(tmp_path / "net.yaml").layers == loaded.layers


MODEL = """
import os; os.environ["KERAS_BACKEND"] = "torch"
import keras
from keras import layers
keras.utils.set_random_seed(1)
put = keras.Input((32, 24, 3))
x = layers.Rescaling(1 / 127.5, offset=-1)(put)
x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(x)
x = layers.BatchNormalization(beta_initializer="random_normal", moving_mean_initializer="random_normal")(x)
x = layers.ReLU(max_value=6)(x)
y = layers.DepthwiseConv2D(3, padding="same")(layers.ZeroPadding2D(1)(x))
y = layers.Conv2D(8, 3)(y)
x = layers.Activation("swish")(layers.Add()([x, y]))
gate = layers.Conv2D(2, 1, activation="relu")(layers.GlobalAveragePooling2D(keepdims=True)(x))
x = layers.Multiply()([x, layers.Conv2D(8, 1, activation="hard_sigmoid")(gate)])
x = layers.MaxPooling2D(3, 2, padding="same")(x)
x = layers.Concatenate()([x, layers.LeakyReLU(0.2)(layers.Conv2D(4, 1)(x))])
x = layers.Dropout(0.3)(layers.Dense(12, activation="gelu")(layers.Flatten()(x)))
keras.Model(put, layers.Dense(5, activation="softmax")(x)).save("my_model.keras")
"""
PREDICT = """
import numpy as np
np.save("wanted.npy", keras.ops.convert_to_numpy(model(np.load("images.npy"))))
"""


@pytest.fixture(scope="module")
def keras_folder(tmp_path_factory) -> Path:
    """net.onnx of a model of Keras by the example of the page, and what Keras itself gives for images."""
    folder = tmp_path_factory.mktemp("keras")
    np.save(folder / "images.npy", 100 * np.abs(image(2, 32, 24, 3)))
    [example] = examples("Keras")
    for code in (MODEL, example + PREDICT):
        run = subprocess.run(
            [sys.executable, "-c", code],
            cwd=folder,
            capture_output=True,
            text=True,
            env={**os.environ, "KERAS_HOME": str(folder)},
        )
        assert run.returncode == 0, run.stderr
    return folder


def test_a_model_of_keras(keras_folder):
    network = network_of(keras_folder / "net.onnx", (3, 32, 24))
    found = kinds(network)
    for kind in (
        "residual+silu",
        "scale",
        "conv+hardsigmoid",
        "maxpool",
        "parallel",
        "dense+gelu",
        "softmax",
    ):
        assert kind in found, found
    images = np.load(keras_folder / "images.npy").transpose(0, 3, 1, 2)
    wanted = np.load(keras_folder / "wanted.npy")
    np.testing.assert_allclose(outputs(network, images), wanted, atol=1e-5)

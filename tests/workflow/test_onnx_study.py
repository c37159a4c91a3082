"""A study whose classifier is an ONNX file: read before the first job, and again when any of its files changes."""

import numpy as np
import onnx
import pytest
import yaml
from onnx import helper
from support.onnx_models import image, model_of

from promptflux.classifiers.weights import load_model

MODEL = "results/models/my_net.h5"


@pytest.fixture
def onnx_study(study):
    write_net(study, 1)
    said = {"model": "net.onnx", "input": "gray28", "labels": ["forest", "city", "sea"]}
    (study / "my_net.yaml").write_text(yaml.safe_dump(said))
    study.change(classifiers=["my_net.yaml"])
    return study


def write_net(study, seed: int, operator: str = "Relu") -> None:
    """net.onnx, with its weights in net.data."""
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], name="first"),
        helper.make_node(operator, ["c"], ["r"], name="second"),
        helper.make_node("GlobalAveragePool", ["r"], ["g"]),
        helper.make_node("Flatten", ["g"], ["y"]),
    ]
    model = model_of(nodes, {"w": image(3, 1, 20, 20, seed=seed)}, ("n", 1, 28, 28))
    (study / "net.data").unlink(missing_ok=True)
    onnx.save(model, study / "net.onnx", save_as_external_data=True, location="net.data", size_threshold=0)


def test_it_runs_and_runs_again_when_the_weights_beside_the_model_change(onnx_study):
    onnx_study.run(MODEL)
    first = load_model(onnx_study / MODEL)[1]["conv1/weight"]
    assert np.array_equal(first, image(3, 1, 20, 20, seed=1))
    before = (onnx_study / "net.onnx").read_bytes()
    write_net(onnx_study, 2)
    assert (onnx_study / "net.onnx").read_bytes() == before
    onnx_study.run(MODEL)
    assert np.array_equal(load_model(onnx_study / MODEL)[1]["conv1/weight"], image(3, 1, 20, 20, seed=2))


def test_what_is_wrong_with_it_is_said_before_the_first_job(onnx_study):
    write_net(onnx_study, 1, "Softsign")
    printed = onnx_study.run(expect=1)
    assert "The study cannot start." in printed
    assert (
        "net.onnx: 'second' (Softsign) cannot be carried over: no layer of a classifier computes it."
        in printed
    )
    assert "Building DAG" not in printed

"""Networks that others have trained and published: PyTorch and ONNX Runtime agree to 1e-4 in every probability.

That Flux does, too, is in tests/julia/test_flux_networks.py.
"""

import warnings

import numpy as np
import pytest
import torch
from support.found_networks import (
    LIGHTS,
    NETWORKS,
    PHOTOGRAPHS,
    efficientnet_lite0,
    light,
    photographs,
    whole_run,
)
from support.onnx_models import image, network_of, outputs

from promptflux.classifiers.checkpoints import from_checkpoint
from promptflux.classifiers.importers.onnx_runtime import run_onnx
from promptflux.classifiers.network import Network
from promptflux.classifiers.onnx_export import write_onnx

ALWAYS = (
    "resnet50",
    "shufflenet",
    "squeezenet",
)  # the others of the onnx package have up to 144 million weights
CLOSE = 1e-4


def softmax(values: np.ndarray) -> np.ndarray:
    return torch.softmax(torch.from_numpy(values), 1).numpy()


def probabilities(values: np.ndarray) -> np.ndarray:
    """What a network gives, as the study shows it."""
    return values if np.allclose(values.sum(1), 1, atol=1e-3) and (values >= 0).all() else softmax(values)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network(tmp_path, name):
    make, shape = NETWORKS[name]
    with warnings.catch_warnings(action="ignore"):
        path = make(tmp_path)
    images = image(2, *shape)
    found, wanted = outputs(network_of(path, shape), images), run_onnx(path, images)
    assert np.abs(probabilities(found.reshape(2, -1)) - probabilities(wanted)).max() < CLOSE
    assert np.ptp(wanted, axis=0).max() > 1e-3, "it gives the same for any image"


@pytest.mark.parametrize("name", LIGHTS)
def test_a_network_of_the_onnx_package(name):
    """With the input that belongs to it, and the output that is expected of it."""
    if name not in ALWAYS:
        whole_run()
    path, values, wanted = light(name)
    found = outputs(network_of(path, values.shape[1:]), values).reshape(1, -1)
    np.testing.assert_allclose(found, wanted, rtol=1e-3, atol=1e-6)
    assert np.abs(found - run_onnx(path, values)).max() < CLOSE


def test_photographs_are_what_they_show(tmp_path):
    """An EfficientNet-Lite0 that was trained on ImageNet, from a checkpoint: coffee and a camera."""
    spec = efficientnet_lite0(tmp_path)
    weights = from_checkpoint(str(spec.weights_path), spec)
    images = photographs(spec)
    found = outputs(Network(spec).load(weights).eval(), images)
    assert [spec.labels[best] for best in found.argmax(1)] == list(PHOTOGRAPHS.values())
    write_onnx(tmp_path / "lite0.onnx", spec, weights)
    assert np.abs(run_onnx(tmp_path / "lite0.onnx", images) - found).max() < CLOSE

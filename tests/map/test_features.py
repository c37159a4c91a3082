"""What is kept of the layer before the last: the input of the last layer with a weight matrix, in half the bits."""

import features
import numpy as np
import pytest
import torch
from support.specs import SMALL, write_spec

from promptflux.classifiers.before_last import before_last
from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import save_model
from promptflux.errors import StudyError
from promptflux.files.features import open_features, write_features
from promptflux.files.tensors import write_tensors

MAPS = [{"conv": {"out": 4, "kernel": 3, "activation": "relu"}}]
ENDS = {
    "dense": (SMALL["layers"], "dense1", (8,)),
    "a dense layer after dropout": (
        ["flatten", {"dense": 5}, "relu", {"dropout": 0.5}, {"dense": 3}, "softmax"], "dropout1", (5,),
    ),
    "a dense layer that a normalization follows": (["flatten", {"dense": 3}, "batchnorm"], "flatten1", (120,)),
    "a convolution and a global mean": (
        [*MAPS, {"maxpool": 2}, {"conv": {"out": 3, "kernel": 1}}, "globalmeanpool", "softmax"], "maxpool1", (4, 5, 4),
    ),
    "a block": (
        [*MAPS, {"conv": {"out": 3, "kernel": 1}}, {"residual": {"body": [{"conv": {"out": 3, "kernel": 3, "padding": 1}}]}},
         "globalmeanpool"],
        "conv2", (3, 10, 8),
    ),
    "one dense layer alone": (["flatten", {"dense": 3}], "flatten1", (120,)),
    "a convolution alone": ([{"conv": {"out": 3, "kernel": [12, 10]}}, "flatten"], "input", (1, 12, 10)),
}  # fmt: skip


@pytest.mark.parametrize("end", ENDS)
def test_it_is_what_the_last_layer_with_a_weight_matrix_takes(tmp_path, end):
    layers, name, shape = ENDS[end]
    spec = load_spec(write_spec(tmp_path, layers=layers))
    assert before_last(spec) == (name, shape)
    network = Network(spec).load(untrained_weights(spec, 0)).eval()
    last = [it for it in network if list(it.modules()) and any(p.dim() > 1 for p in it.parameters())][-1]
    taken = []
    hooked = last if not hasattr(last, "conv1") else last.conv1  # a block of ours runs its layers one by one
    hooked.register_forward_hook(lambda module, inputs, output: taken.append(inputs[0]))
    images = np.random.default_rng(0).random((2, 1, 12, 10), dtype=np.float32)
    with torch.inference_mode():
        network(torch.from_numpy(images))
    given = features.given(network, images, name, torch.device("cpu"))
    np.testing.assert_allclose(given, taken[0].numpy(), atol=1e-6)


def kept(tmp_path, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What a file gives back of `values`, and the scale of each row."""
    path = tmp_path / "features.h5"
    names = [f"a_{k}" for k in range(len(values))]
    with write_features(
        path, names=names, problems=[""] * len(values), layer="dense1", shape=values.shape[1:], attributes={}
    ) as writer:
        for start in range(0, len(values), 2):
            writer.keep(start, values[start : start + 2])
    with open_features(path) as file:
        assert file.names == names and file.layer == "dense1"
        assert file.values.chunks is not None and file.values.dtype == np.float16
        return file.values[()].astype(np.float64) * file.scale[:, None], file.scale


@pytest.mark.parametrize("size", [1e-30, 1e-6, 1.0, 6e4, 7e4, 1e30])
def test_half_the_bits_are_enough_whatever_the_size_of_the_values(tmp_path, size):
    values = (np.random.default_rng(0).uniform(0.02, 1, (5, 2, 3, 4)) * size).astype(np.float32)
    back, scale = kept(tmp_path, values)
    np.testing.assert_allclose(back, values.reshape(5, -1), rtol=2**-11)
    assert (scale == 1).all() == (2**-7 < size < 65504)


def test_what_is_zero_stays_zero(tmp_path):
    back, scale = kept(tmp_path, np.zeros((3, 4), np.float32))
    assert not back.any() and (scale == 1).all()


def test_values_that_are_not_finite_are_a_sentence_with_the_image(tmp_path):
    spec = load_spec(write_spec(tmp_path))
    weights = untrained_weights(spec, 0)
    weights["dense1/weight"] = np.full_like(weights["dense1/weight"], 3e38)
    save_model(tmp_path / "model.h5", weights, spec)
    with write_tensors(tmp_path / "tensors.h5", spec.input, ["dark_1", "light_1"]) as writer:
        for value in (0.0, 1.0):
            writer.add(np.full(spec.input.shape, value, np.float32), "0" * 64, (12, 10), "L", "")
    arguments = {"model": str(tmp_path / "model.h5"), "micro_batch": 4, "threads": 1, "device": "cpu"}
    with pytest.raises(StudyError, match="dense1 gives values for .+ that are not finite"):
        features.main(tensors=str(tmp_path / "tensors.h5"), features=str(tmp_path / "out.h5"), **arguments)
    assert not list(tmp_path.glob("*out*"))

"""Inference in PyTorch: the predictions contract, and what a prediction must not depend on."""

import h5py
import infer_torch
import numpy as np
import pytest
import torch
from support.specs import write_spec

from promptflux.classifiers.inference import resolve
from promptflux.classifiers.network import Network, untrained_weights
from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_description, load_model, save_model, weights_digest
from promptflux.errors import StudyError
from promptflux.files.predictions import open_predictions
from promptflux.files.tensors import write_tensors


def make(tmp_path, images: np.ndarray, name="batch", **changes):
    """The model file of a spec with untrained weights, and a tensors file of `images` [N, C, H, W]."""
    spec = load_spec(write_spec(tmp_path, **changes))
    save_model(tmp_path / "small.h5", untrained_weights(spec, 1), spec)
    names = [f"{name}_{index}" for index in range(len(images))]
    with write_tensors(tmp_path / f"{name}.h5", spec.input, names) as writer:
        for image in images:
            writer.add(image, "0" * 64, (12, 10), "RGB", "")
    return names


def infer(tmp_path, name="batch", layers_of=(), output="p.h5", **options):
    infer_torch.main(
        tensors=str(tmp_path / f"{name}.h5"),
        model=str(tmp_path / "small.h5"),
        layers_of=list(layers_of),
        predictions=str(tmp_path / output),
        device="cpu",
        **{"micro_batch": 16, "threads": 2, **options},
    )
    return tmp_path / output


@pytest.fixture
def images():
    return np.random.default_rng(0).random((37, 1, 12, 10), dtype=np.float32)


def test_the_file_holds_what_the_contract_says(tmp_path, images):
    names = make(tmp_path, images)
    path = infer(tmp_path, layers_of=[names[20], names[3]])
    spec = load_spec(tmp_path / "small.yaml")
    with h5py.File(path) as file:
        attributes = dict(file.attrs)
        assert attributes.pop("engine_version") == torch.__version__
        assert attributes.pop("language_version").startswith("Python 3.")
        assert list(file["layer_names"].asstr()) == [layer.name for layer in spec.layers]
        assert attributes == {
            "format": "promptflux predictions 2",
            "engine": "torch",
            "device": "cpu",
            "classifier": "small",
            "description_sha256": spec.digest,
            "kernels": "plain",
            "weights_sha256": weights_digest(untrained_weights(spec, 1)),
        }
        assert (file["logits"].shape, file["logits"].dtype) == ((37, 3), np.dtype("<f4"))
        assert (file["probabilities"].shape, file["probabilities"].dtype) == ((37, 3), np.dtype("<f4"))
        assert list(file["names"].asstr()) == names
        assert list(file["labels"].asstr()) == ["forest", "city", "a desert"]
        assert list(file["layer_images"].asstr()) == [names[3], names[20]]
        assert {name: item.shape for name, item in file["layers"].items()} == {
            layer.name: (2, *layer.shape) for layer in spec.layers
        }


def test_the_numbers_are_those_of_the_network(tmp_path, images):
    names = make(tmp_path, images)
    description, weights = load_model(tmp_path / "small.h5")
    network = Network(description).load(weights).eval()
    with torch.no_grad():
        outputs = {name: values.numpy() for name, values in network.outputs(torch.from_numpy(images))}
    with open_predictions(infer(tmp_path, layers_of=names)) as batch:
        assert np.allclose(batch.logits, outputs["dense2"], atol=1e-6)
        assert np.allclose(batch.probabilities, outputs["softmax1"], atol=1e-6)
        assert np.allclose(batch.probabilities.sum(axis=1), 1, atol=1e-6)
        assert list(batch.layers) == list(outputs)
        for name, values in batch.layers.items():
            assert np.allclose(values[()], outputs[name], atol=1e-6)
        assert np.array_equal(batch.layers["softmax1"][()], batch.probabilities)


def test_probabilities_without_a_softmax_in_the_spec(tmp_path, images):
    make(tmp_path, images, layers=["flatten", {"dense": {"out": 3, "activation": "tanh"}}])
    with open_predictions(infer(tmp_path)) as batch:
        shares = np.exp(batch.logits)
        assert np.abs(batch.logits).max() <= 1
        assert np.allclose(batch.probabilities, shares / shares.sum(axis=1, keepdims=True), atol=1e-6)


def test_the_same_run_gives_the_same_bytes(tmp_path, images):
    names = make(tmp_path, images)
    first = infer(tmp_path, layers_of=names[:2], output="a.h5").read_bytes()
    torch.set_num_threads(1)
    assert infer(tmp_path, layers_of=names[:2], output="b.h5").read_bytes() == first


def test_a_prediction_does_not_depend_on_its_neighbours(tmp_path, images):
    make(tmp_path, images)
    make(tmp_path, images[[30, 5, 17]], name="other")
    everything = infer(tmp_path)
    part = infer(tmp_path, name="other", output="other_p.h5")
    with open_predictions(everything) as all_of_them, open_predictions(part) as some:
        assert np.array_equal(some.logits, all_of_them.logits[[30, 5, 17]])


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 32])
def test_batches_of_every_size(tmp_path, images, count):
    names = make(tmp_path, images[:count])
    with open_predictions(infer(tmp_path, layers_of=names[-1:])) as batch:
        assert batch.probabilities.shape == (count, 3)
        assert np.isfinite(batch.probabilities).all()
        assert batch.layer_images == names[-1:]


def test_no_layers_are_kept_if_none_are_asked_for(tmp_path, images):
    make(tmp_path, images[:2])
    with open_predictions(infer(tmp_path)) as batch:
        assert batch.layers == {}
        assert batch.layer_images == []
        assert list(batch.layer_shapes) == [
            layer.name for layer in load_description(tmp_path / "small.h5").layers
        ]


def test_tensors_of_another_input(tmp_path, images):
    make(tmp_path, images[:2])
    other = {"name": "gray12x10", "size": [12, 10], "channels": "gray", "mean": [0.5]}
    spec = load_spec(write_spec(tmp_path, input=other))
    save_model(tmp_path / "small.h5", untrained_weights(spec, 1), spec)
    with pytest.raises(StudyError, match=r"batch.h5.*small.h5 wants.*mean=\(0.5,\)"):
        infer(tmp_path)


def test_layers_of_an_image_that_is_not_there(tmp_path, images):
    make(tmp_path, images[:2])
    with pytest.raises(StudyError, match="nobody_1, which is not in this batch"):
        infer(tmp_path, layers_of=["nobody_1"])


def test_weights_of_another_network(tmp_path, images):
    make(tmp_path, images[:2])
    weights = untrained_weights(load_spec(tmp_path / "small.yaml"), 1)
    other = load_spec(write_spec(tmp_path, labels=["a", "b"], layers=["flatten", {"dense": 2}]))
    save_model(tmp_path / "small.h5", weights, other)
    with pytest.raises(StudyError, match="dense1/weight has the shape 8×120.*wants 2×120"):
        infer(tmp_path)


def test_an_overflow_is_named(tmp_path, images):
    make(tmp_path, images[:3])
    spec = load_spec(tmp_path / "small.yaml")
    weights = untrained_weights(spec, 1)
    weights["dense1/weight"][:] = 3e38
    weights["dense2/weight"][:] = 3e38
    save_model(tmp_path / "small.h5", weights, spec)
    with pytest.raises(StudyError, match="batch_0 that are not finite"):
        infer(tmp_path)
    assert not (tmp_path / "p.h5").exists()


def test_a_device_that_is_not_there(tmp_path, images):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(StudyError, match="'cuda' is asked for"):
        resolve("cuda")
    assert resolve("auto").type in ("cpu", "mps")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_agrees_with_the_cpu(tmp_path, images):
    make(tmp_path, images)
    on_gpu = resolve("cuda")
    description, weights = load_model(tmp_path / "small.h5")
    network = Network(description).load(weights).eval()
    with torch.inference_mode():
        wanted = network(torch.from_numpy(images))
        found = network.to(on_gpu)(torch.from_numpy(images).to(on_gpu)).cpu()
    assert (wanted - found).abs().max() < 1e-5

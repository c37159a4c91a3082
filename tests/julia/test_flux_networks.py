"""Deep networks that others have published, and the ready architectures, in Flux: the same as in PyTorch.

Each with Flux's own layers and with the fast kernels. One at a time: the largest have half a gigabyte of weights, which
are on disk four times.
"""

import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import convert
import numpy as np
import pytest
import torch
import yaml
from support.beside import beside, with_numbers
from support.flux import RUN_FLUX, differences, run_torch, write_arrays, write_images
from support.found_networks import LIGHTS, NETWORKS, efficientnet_lite0, light, photographs, whole_run
from support.onnx_models import image

from promptflux.classifiers.architectures import ARCHITECTURES
from promptflux.classifiers.checkpoints import from_checkpoint, taken
from promptflux.classifiers.parity import MOST
from promptflux.classifiers.spec import Spec, load_spec
from promptflux.files.predictions import Predictions, open_predictions

CLOSE = 1e-4
ENGINES = ("flux", "plain")


@pytest.fixture
def folder(tmp_path, julia):
    """A folder that is gone after the test; the test is skipped where not all networks are asked for, or no Julia is."""
    whole_run()
    yield tmp_path
    shutil.rmtree(tmp_path)


def converted(folder: Path, name: str, path: Path, images: np.ndarray) -> Spec:
    """A model file and tensors for both engines, of an ONNX file that the command of the project converts."""
    size = f"rgb{images.shape[2]}x{images.shape[3]}"
    spec = convert.main([str(path), str(folder / f"{name}.yaml"), "--input", size])
    return written(folder, spec, images)


def written(folder: Path, spec: Spec, images: np.ndarray) -> Spec:
    write_arrays(folder, spec, from_checkpoint(str(spec.weights_path), spec))
    write_images(folder, spec, images)
    return spec


def apart(folder: Path, spec: Spec, of: Callable[[Predictions], np.ndarray]) -> dict[str, float]:
    """How far what `of` takes of the predictions is from PyTorch's, by engine."""
    with open_predictions(run_torch(folder, spec.name, 1)) as predictions:
        wanted = of(predictions)
    found = {}
    for engine in ENGINES:
        with open_predictions(folder / f"{spec.name}_{engine}.h5") as predictions:
            found[engine] = float(np.abs(of(predictions) - wanted).max())
    print(spec.name, found)
    return found


def probabilities(predictions: Predictions) -> np.ndarray:
    return predictions.probabilities[()]


def relative_logits(predictions: Predictions) -> np.ndarray:
    logits = predictions.logits[()]
    return logits / np.abs(logits).max()


@pytest.mark.parametrize("name", NETWORKS)
def test_a_published_network(folder, julia, name):
    make, shape = NETWORKS[name]
    with warnings.catch_warnings(action="ignore"):
        spec = converted(folder, name, make(folder), image(2, *shape))
    julia.alone(RUN_FLUX, folder / f"{name}.h5")
    assert max(apart(folder, spec, probabilities).values()) < CLOSE


@pytest.mark.parametrize("name", LIGHTS)
def test_a_network_of_the_onnx_package(folder, julia, name):
    """All its weights are one number, and its logits can be 10^10: a last bit decides the softmax."""
    spec = converted(folder, name, *light(name)[:2])
    julia.alone(RUN_FLUX, folder / f"{name}.h5")
    assert max(apart(folder, spec, relative_logits).values()) < CLOSE


def test_a_network_of_imagenet(folder, julia):
    spec = efficientnet_lite0(folder)
    written(folder, spec, photographs(spec))
    julia.alone(RUN_FLUX, folder / f"{spec.name}.h5")
    assert max(apart(folder, spec, probabilities).values()) < CLOSE


@pytest.mark.parametrize("name", sorted(path.stem for path in ARCHITECTURES.glob("*.yaml")))
def test_a_ready_architecture(folder, julia, name):
    """Every layer, for images of the published size, with weights that keep all values of the order of 1.

    The logits are those of torchvision, whose network it is.
    """
    value = {"architecture": name, "weights": {"checkpoint": "c.pt"}}
    (folder / f"{name}.yaml").write_text(yaml.safe_dump(value))
    spec = load_spec(folder / f"{name}.yaml", weights_exist=False)
    images = torch.from_numpy(image(2, *spec.input.shape))
    options = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    with beside() as (models, _):
        with torch.device("meta"):
            network = getattr(models, name)(weights=None, **options)
        state = with_numbers(network, images).state_dict()
        with torch.no_grad():
            wanted = network(images).numpy()
    state = {key: tensor for key, tensor in state.items() if tensor.is_floating_point()}
    write_arrays(folder, spec, taken(name, state, spec))
    del network, state
    write_images(folder, spec, images.numpy())
    julia.alone(RUN_FLUX, folder / f"{name}.h5")
    torch_file = run_torch(folder, name, 2)
    for engine in ENGINES:
        found = differences(torch_file, folder / f"{name}_{engine}.h5")
        worst = max(found, key=found.__getitem__)
        print(name, engine, {"logits": found["logits"], worst: found[worst]}, len(found) - 2, "layers")
        # Over the 90 convolutions of inception_v3 rounding adds up to 3.5e-4; the logits are what 8×8 pixels have in common.
        assert found["logits"] < CLOSE, found["logits"]
        assert found[worst] < MOST, {layer: value for layer, value in found.items() if value >= MOST}
    with open_predictions(torch_file) as file:
        np.testing.assert_allclose(file.logits, wanted, rtol=0, atol=CLOSE * np.abs(wanted).max())
        assert np.ptp(file.logits, axis=0).max() > 0.01 * np.abs(file.logits).max(), (
            "any image gives the same"
        )

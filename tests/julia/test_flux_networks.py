"""Deep networks that others have published, in Flux: the same probabilities as in PyTorch."""

import warnings
from pathlib import Path

import convert
import numpy as np
from support.flux import RUN_FLUX, run_torch, write_arrays, write_images
from support.found_networks import LIGHTS, NETWORKS, efficientnet_lite0, light, photographs, whole_run
from support.onnx_models import image

from promptflux.classifiers.checkpoints import from_checkpoint
from promptflux.classifiers.spec import Spec
from promptflux.files.predictions import Predictions, open_predictions

CLOSE = 1e-4


def prepared(folder: Path, name: str, path: Path, images: np.ndarray) -> Spec:
    """A model file and tensors for both engines, of an ONNX file that the command of the project converts."""
    size = f"rgb{images.shape[2]}x{images.shape[3]}"
    spec = convert.main([str(path), str(folder / f"{name}.yaml"), "--input", size])
    return written(folder, spec, images)


def written(folder: Path, spec: Spec, images: np.ndarray) -> Spec:
    write_arrays(folder, spec, from_checkpoint(str(spec.weights_path), spec))
    write_images(folder, spec, images)
    return spec


def test_published_networks_agree(julia, tmp_path):
    """With Flux's own layers, and with the fast kernels."""
    whole_run()
    with warnings.catch_warnings(action="ignore"):
        specs = [
            prepared(tmp_path, name, make(tmp_path), image(2, *shape))
            for name, (make, shape) in NETWORKS.items()
        ]
    specs += [prepared(tmp_path, name, *light(name)[:2]) for name in LIGHTS]
    lite0 = efficientnet_lite0(tmp_path)
    specs.append(written(tmp_path, lite0, photographs(lite0)))
    julia(RUN_FLUX, *(tmp_path / f"{spec.name}.h5" for spec in specs))
    differences = {}
    for spec in specs:
        # All weights of the light networks are one number, and their logits can be 10^10: a last bit decides the softmax.
        compared = relative_logits if spec.name in LIGHTS else probabilities
        with open_predictions(run_torch(tmp_path, spec.name, 1)) as predictions:
            wanted = compared(predictions)
        for engine in ("flux", "plain"):
            with open_predictions(tmp_path / f"{spec.name}_{engine}.h5") as predictions:
                differences[spec.name, engine] = np.abs(compared(predictions) - wanted).max()
    assert max(differences.values()) < CLOSE, differences


def probabilities(predictions: Predictions) -> np.ndarray:
    return predictions.probabilities[()]


def relative_logits(predictions: Predictions) -> np.ndarray:
    logits = predictions.logits[()]
    return logits / np.abs(logits).max()

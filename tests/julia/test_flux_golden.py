"""PyTorch against what real Flux wrote, kept in tests/golden: for machines without Julia, too."""

import h5py
import infer_torch
import pytest
from support.flux import differences, run_torch, structure
from support.golden import CLASSIFIERS, SMALL, write_photos
from support.workflow import GOLDEN, WORKFLOW

from promptflux.classifiers.spec import load_spec
from promptflux.classifiers.weights import load_model, load_weights, save_model, weights_digest
from promptflux.files.predictions import open_predictions

AGREES = 1e-5


@pytest.mark.parametrize("name", SMALL)
def test_every_layer_is_what_flux_gave(tmp_path, name):
    for path in GOLDEN.glob(f"{name}*"):
        (tmp_path / path.name).write_bytes(path.read_bytes())
    spec = load_spec(tmp_path / f"{name}.yaml")
    torch, flux = run_torch(tmp_path, name, 2), GOLDEN / f"{name}_flux.h5"
    assert max(differences(torch, flux).values()) <= AGREES
    assert structure(torch) == structure(flux)
    with open_predictions(flux) as predictions:
        assert predictions.attributes["engine"] == "flux"
        assert predictions.attributes["language_version"].startswith("Julia 1.")
        assert predictions.attributes["description_sha256"] == spec.digest
        _, weights = load_model(GOLDEN / f"{name}.h5")
        assert predictions.attributes["weights_sha256"] == weights_digest(weights)


@pytest.mark.parametrize("classifier", CLASSIFIERS)
def test_the_embedded_classifiers_say_what_flux_said(tmp_path, classifier):
    spec = load_spec(WORKFLOW / f"models/classifiers/{classifier}.yaml")
    flux = GOLDEN / f"{classifier}_flux.h5"
    with h5py.File(flux) as file, h5py.File(spec.weights_path) as weights:
        same = file.attrs["weights_sha256"] == weights.attrs["weights_sha256"]
    assert same, f"{spec.weights_path} has changed since; run tests/support/golden.py where there is Julia"
    write_photos(tmp_path / "tensors.h5", spec)
    save_model(tmp_path / "model.h5", load_weights(spec.weights_path, spec), spec)
    infer_torch.main(
        tensors=str(tmp_path / "tensors.h5"),
        model=str(tmp_path / "model.h5"),
        layers_of=[],
        predictions=str(tmp_path / "torch.h5"),
        micro_batch=16,
        threads=2,
        device="cpu",
    )
    assert max(differences(tmp_path / "torch.h5", flux).values()) <= AGREES
    assert structure(tmp_path / "torch.h5") == structure(flux)

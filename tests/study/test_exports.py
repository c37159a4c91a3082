"""What `export` of the config asks for."""

import pytest

from promptflux.errors import StudyError
from promptflux.paths import Results
from promptflux.study.exports import EXPORTS, asks_for_flux, check_exports


def test_flux_makes_its_own_formats():
    check_exports(["onnx", "safetensors"], (False, "Julia was not found"))
    check_exports(list(EXPORTS), (True, "Julia 1.10"))
    with pytest.raises(
        StudyError, match="export asks for bson and jld2, made by Flux, but Julia was not found"
    ):
        check_exports(["bson", "onnx", "jld2"], (False, "Julia was not found"))


def test_bson_is_the_model_file_of_flux():
    files = {name: export.file(Results(), "net") for name, export in EXPORTS.items()}
    assert files == {
        "bson": "results/models/net.bson",
        "jld2": "results/exports/net.jld2",
        "safetensors": "results/exports/net.safetensors",
        "onnx": "results/exports/net.onnx",
    }


def test_flux_is_looked_for_where_something_is_left_to_it():
    assert (
        asks_for_flux("auto", [])
        and asks_for_flux(["torch", "flux"], [])
        and asks_for_flux(["torch"], ["jld2"])
    )
    assert not asks_for_flux(["torch"], ["onnx", "safetensors"])

"""What `export` of the config asks for."""

import pytest

from promptflux.errors import StudyError
from promptflux.paths import Results
from promptflux.study.exports import EXPORTS, check_exports


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

"""The file with a whole network, layers and weights, that a spec names: an ONNX model."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from promptflux.classifiers.kind import Shape
from promptflux.errors import StudyError, plain, shown

if TYPE_CHECKING:
    from promptflux.classifiers.importers.entries import Network


def read_model(spec: str | Path, model: str, shape: Shape, output: str | None = None) -> Network:
    """The network of the model that the file `spec` names.

    shape: of an image, (C, H, W). output: the one to take, if the model has several. Planning reads it, too, so that
    what is wrong with it is said before the first job; that takes the package onnx, which Snakemake does not bring.
    """
    file = Path(spec).parent / model
    if not os.path.isfile(file):
        raise StudyError(f"{plain(spec)}: model is {shown(model)}, and there is no file {plain(file)}.")
    try:
        from promptflux.classifiers.importers.onnx_graph import read_network
    except ModuleNotFoundError as error:
        raise StudyError(
            f"{plain(spec)}: the model {plain(file)} is read with the Python package {error.name}, which is not there; "
            f"install it where Snakemake is (pip install onnx), or write the network as YAML and weights where it is "
            f"there, and name that in the config: python scripts/convert.py {plain(spec)}."
        ) from None
    return read_network(file, shape, output)

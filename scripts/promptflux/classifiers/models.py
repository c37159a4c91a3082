"""The file with a whole network, layers and weights, that a spec names: an ONNX model, or a chain of Julia's Flux."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from promptflux.classifiers.kind import Shape
from promptflux.errors import StudyError, plain, shown

if TYPE_CHECKING:
    from promptflux.classifiers.importers.entries import Network


# What a spec may say of a model beside its file, by whether that is of Flux.
OF_MODEL = {False: ("output",), True: ("axes", "instead")}


def read_model(spec: str | Path, source: Mapping, shape: Shape) -> Network:
    """The network of the model that the file `spec` names.

    source: {model}, its file, and what of OF_MODEL is said. shape: of an image, (C, H, W). Planning reads it, too, so that
    what is wrong with it is said before the first job; that takes packages which Snakemake does not bring.
    """
    file = Path(spec).parent / source["model"]
    if not os.path.isfile(file):
        raise StudyError(
            f"{plain(spec)}: model is {shown(source['model'])}, and there is no file {plain(file)}."
        )
    of_flux = file.suffix != ".onnx"
    if unfit := [key for key in OF_MODEL[not of_flux] if key in source]:
        kind = "a file of Flux" if of_flux else "an .onnx file"
        raise StudyError(f"{plain(spec)}: {' and '.join(unfit)} is given, which {kind} has not.")
    try:
        if of_flux:
            from promptflux.classifiers.importers.flux_file import flux_network

            network = flux_network(file, source.get("axes", "whcn"), source.get("instead"))
            network.check(shape)
            return network
        from promptflux.classifiers.importers.onnx_graph import read_network
    except ModuleNotFoundError as error:
        raise StudyError(
            f"{plain(spec)}: the model {plain(file)} is read with the Python package {error.name}, which is not there; "
            f"install it where Snakemake is (pip install {error.name}), or write the network as YAML and weights where it is "
            f"there, and name that in the config: python scripts/convert.py {plain(spec)}."
        ) from None
    return read_network(file, shape, source.get("output"))

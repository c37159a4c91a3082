"""An ONNX file, read and checked, from whoever it comes.

What a file says of itself is not believed: the files with its weights must lie in its own folder, their places in these
within them, and no tensor is larger than what a classifier may have.
"""

from __future__ import annotations

import os
from math import prod
from pathlib import Path

import onnx
from onnx import checker, external_data_helper, inliner

from promptflux.classifiers.spec import MOST_VALUES
from promptflux.errors import StudyError, plain, reason, shown

MOST_BYTES = 2**31 - 1  # of a message, by protobuf's own limit
MOST_NODES = 20_000
OTHERS = {
    b"version https://git-lfs": "a Git LFS pointer in place of the file; fetch it with `git lfs pull`",
    b"PK\x03\x04": "a zip archive, such as a PyTorch checkpoint (which goes with layers: weights: {checkpoint: ...}) or a model of Keras",
    b"\x89HDF": "an HDF5 file, such as Keras wrote (which exports it as ONNX)",
    b"<": "a web page or XML",
    b"{": "JSON or YAML",
}


def read_onnx(path: str | Path) -> tuple[onnx.ModelProto, list[str]]:
    """The model of an ONNX file with all its weights, its functions written out; and the files that it was read from.

    Raises StudyError for what is no sound ONNX model.
    """
    where = plain(path)
    model = _parsed(path, where)
    tensors = [*_tensors(model)]
    files = _external(Path(path), where, tensors)
    for tensor in tensors:
        if any(side < 0 for side in tensor.dims) or prod(tensor.dims) > MOST_VALUES:
            raise StudyError(
                f"{where}: {shown(tensor.name)} says that it has {shown(list(tensor.dims))} values; "
                f"at most {MOST_VALUES:,} are taken."
            )
    try:
        for output in model.graph.output:  # the checker wants a shape, which many leave out
            output.type.tensor_type.shape.SetInParent()
        external_data_helper.load_external_data_for_model(model, os.path.dirname(path) or ".")
        checker.check_model(model)
        if model.functions:
            model = inliner.inline_local_functions(model)
    except Exception as error:  # the checker has several, and protobuf its own
        raise StudyError(f"{where}: this is no sound ONNX model ({reason(error)}).") from None
    return model, [str(path), *files]


def _parsed(path: str | Path, where: str) -> onnx.ModelProto:
    try:
        size = os.path.getsize(path)
        if size > MOST_BYTES:
            raise StudyError(
                f"{where}: it has {size:,} bytes, and an ONNX file has at most {MOST_BYTES:,}; "
                f"larger ones have their weights in files beside them."
            )
        content = Path(path).read_bytes()
    except OSError as error:
        raise StudyError(f"{where}: it cannot be read ({error.strerror}).") from None
    what = next((what for start, what in OTHERS.items() if content.lstrip()[:64].startswith(start)), None)
    if what or not content:
        raise StudyError(f"{where}: this is {what or 'an empty file'}, and no ONNX model.")
    try:
        model = onnx.load_model_from_string(content)
    except Exception as error:
        raise StudyError(
            f"{where}: this is no ONNX model, or one that is damaged or cut short ({reason(error)})."
        ) from None
    if not model.graph.node:
        raise StudyError(f"{where}: the graph of this ONNX model has no nodes, or this is no ONNX model.")
    if len(model.graph.node) > MOST_NODES:
        raise StudyError(
            f"{where}: its graph has {len(model.graph.node):,} nodes; at most {MOST_NODES:,} are taken."
        )
    if model.graph.sparse_initializer:
        raise StudyError(f"{where}: it has sparse weights; store them as plain tensors.")
    return model


def _tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [
        *model.graph.initializer,
        *(
            attribute.t
            for node in model.graph.node
            for attribute in node.attribute
            if attribute.HasField("t")
        ),
    ]


def _external(path: Path, where: str, tensors: list[onnx.TensorProto]) -> list[str]:
    """The files beside an ONNX file that hold weights, each of which lies in its folder and holds what it should."""
    folder = Path(os.path.realpath(path)).parent
    files: dict[str, int] = {}
    total = 0
    for tensor in tensors:
        if not external_data_helper.uses_external_data(tensor):
            continue
        says = {entry.key: entry.value for entry in tensor.external_data}
        location = says.get("location", "")
        who = f"{where}: the weights {shown(tensor.name)} lie in {shown(location)}"
        file = folder / location
        real = Path(os.path.realpath(file))
        if not location or os.path.isabs(location) or "\\" in location or not real.is_relative_to(folder):
            raise StudyError(f"{who}, which is not a file in the folder of the model.")
        if not real.is_file():
            raise StudyError(f"{who}, and there is no such file; it belongs beside the model.")
        size = os.path.getsize(real)
        try:
            offset, length = int(says.get("offset") or 0), int(says.get("length") or 0)
        except ValueError:
            offset = length = -1
        if offset < 0 or length < 0 or offset + length > size:
            raise StudyError(
                f"{who} from byte {shown(says.get('offset', '0'))} on, {shown(says.get('length', '0'))} bytes, and it has "
                f"{size:,}; the file is cut short or another one."
            )
        files[str(path.parent / location)] = size
        total += length or size - offset
    if total > 4 * MOST_VALUES:
        raise StudyError(f"{where}: its weights have {total:,} bytes; at most {4 * MOST_VALUES:,} are taken.")
    return list(files)

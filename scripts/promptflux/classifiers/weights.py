"""A classifier's weights in HDF5, alone or with the description of its network.

A weights file holds a dataset `{layer}/{parameter}` for each parameter, in PyTorch's shapes. A
model file holds the description, too, in the group `description`, as HDF5's own types: so
that Julia builds the network from what Python resolved, and parses nothing.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import MOST_DEEP, Shape, shape_text
from promptflux.classifiers.kinds import check_layers
from promptflux.errors import StudyError, plain, reason
from promptflux.files.hdf5 import open_hdf5, read_texts, read_values, write_texts, write_values
from promptflux.files.whole import whole

WEIGHTS = "promptflux weights 1"
MODEL = "promptflux model 1"
DESCRIPTION = "description"
PLAIN = (h5py.h5t.INTEGER, h5py.h5t.FLOAT, h5py.h5t.STRING)
HEAP = b"GCOL\x01\0\0\0"

Weights = dict[str, np.ndarray]


def weights_digest(weights: Mapping[str, np.ndarray]) -> str:
    """A SHA-256 over the weights themselves, as 64 hexadecimal digits.

    For each dataset, sorted by name (`batchnorm1/bias`, ..., `dense2/weight`): its name in
    UTF-8, a line feed, and its values as little-endian float32 in C order.
    """
    digest = hashlib.sha256()
    for name in sorted(weights):
        digest.update(f"{name}\n".encode())
        digest.update(np.ascontiguousarray(weights[name], dtype="<f4").tobytes())
    return digest.hexdigest()


def save_weights(path: str | Path, weights: Mapping[str, np.ndarray], classifier: str) -> None:
    """Write a weights file; equal weights make equal bytes.

    weights: float32, or float16 to be stored as such, whose values are the weights from then on.
    """
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"] = WEIGHTS
        file.attrs["classifier"] = classifier
        _write_weights(file, weights)


def save_model(path: str | Path, weights: Mapping[str, np.ndarray], description: Description) -> None:
    """Write a model file; equal content makes equal bytes."""
    with whole(path) as partial, h5py.File(partial, "w") as file:
        file.attrs["format"] = MODEL
        file.attrs["classifier"] = description.name
        file.attrs["description_sha256"] = description.digest
        _write_description(file.create_group(DESCRIPTION), description)
        _write_weights(file, weights)


def load_weights(path: str | Path, description: Description) -> Weights:
    """Read a weights or model file and check it against `description`: names, shapes, finite values, digest.

    Raises StudyError with a sentence for each parameter that does not fit.
    """
    with _reading(path, "weights", WEIGHTS, MODEL) as file:
        return _read_weights(file, path, description)


def load_model(path: str | Path) -> tuple[Description, Weights]:
    """Read a model file: the description, and the weights, which are checked against it."""
    with _reading(path, "model", MODEL) as file:
        description = _read_description(file, str(path))
        return description, _read_weights(file, path, description)


def load_description(path: str | Path) -> Description:
    """The description in a model file."""
    with _reading(path, "model", MODEL) as file:
        return _read_description(file, str(path))


@contextmanager
def _reading(path: str | Path, what: str, *formats: str) -> Iterator[h5py.File]:
    """An open HDF5 file; whatever a damaged one makes of its reading is a StudyError."""
    if not Path(path).is_file():
        raise StudyError(f"{path}: there is no such {what} file.")
    try:
        check_heaps(path)
        check_types(path)
        with open_hdf5(path, what, *formats) as file:
            yield file
    except StudyError as error:
        raise StudyError(*map(plain, error.args)) from None
    except Exception as error:
        raise StudyError(f"{path}: the {what} file is damaged or cut short ({reason(error)}).") from None


def check_heaps(path: str | Path) -> None:
    """Raise ValueError if a heap of texts in an HDF5 file is damaged: the library follows it without end, or crashes.

    A heap is "GCOL", version 1, three zeros and its size (8 bytes); then objects of an index, a count (2 bytes each),
    four zeros, a size (8 bytes) and content in steps of 8; index 0 is the free rest, whose size is all of it. (HDF5 File
    Format Specification, III.E.)
    """
    content = Path(path).read_bytes()
    start = content.find(HEAP)
    while start >= 0:
        end = start + int.from_bytes(content[start + 8 : start + 16], "little")
        place = start + 16
        if not place <= end <= len(content):
            raise ValueError("a heap of texts is cut short")
        while end - place >= 16:
            index = int.from_bytes(content[place : place + 2], "little")
            size = int.from_bytes(content[place + 8 : place + 16], "little")
            step = 16 + (size + 7) // 8 * 8 if index else size
            if not 16 <= step <= end - place:
                raise ValueError("a heap of texts has an entry of a wrong size")
            place += step
        start = content.find(HEAP, start + 1)


def check_types(path: str | Path) -> None:
    """Raise ValueError if an HDF5 file holds anything but numbers and texts: reading another type can crash the library."""

    def check(name: str, item: h5py.Group | h5py.Dataset) -> None:
        parts = [item.id] if isinstance(item, h5py.Dataset) else []
        parts += [h5py.h5a.open(item.id, index=i) for i in range(h5py.h5a.get_num_attrs(item.id))]
        if any(part.get_type().get_class() not in PLAIN for part in parts):
            raise ValueError("it holds something that is no number and no text")

    with h5py.File(path, "r") as file:
        check("", file)
        file.visititems(check)


def check_weights(weights: Mapping[str, np.ndarray], description: Description, path: str | Path) -> None:
    """Raise StudyError if `weights`, read from `path`, are not those of the network of `description`."""
    shapes = {name: array.shape for name, array in weights.items()}
    found = _shape_problems(shapes, description, path)
    for name, shape in description.parameters.items():
        if shapes.get(name) != shape:
            continue
        if not np.isfinite(weights[name]).all():
            count = int((~np.isfinite(weights[name])).sum())
            found.append(f"{path}: {name} holds {count} values that are not finite (NaN or infinite).")
        elif name.endswith("/running_var") and (weights[name] < 0).any():
            found.append(f"{path}: {name} holds negative values; a variance has none.")
    if found:
        raise StudyError(*found)


def check_shapes(shapes: Mapping[str, Shape], description: Description, path: str | Path) -> None:
    """Raise StudyError if the parameters of these names and shapes are not those of `description`."""
    if found := _shape_problems(shapes, description, path):
        raise StudyError(*found)


def _shape_problems(shapes: Mapping[str, Shape], description: Description, path: str | Path) -> list[str]:
    found = []
    source = description.source
    for name, shape in description.parameters.items():
        if name not in shapes:
            found.append(f"{path}: {name} is missing; {source} wants it with the shape {shape_text(shape)}.")
        elif shapes[name] != shape:
            found.append(
                f"{path}: {name} has the shape {shape_text(shapes[name])}; {source} wants {shape_text(shape)}."
            )
    surplus = [name for name in shapes if name not in description.parameters]
    return found + [f"{path}: {name} belongs to no layer of {source}." for name in surplus]


def _write_weights(file: h5py.File, weights: Mapping[str, np.ndarray]) -> None:
    file.attrs["weights_sha256"] = weights_digest(weights)
    for name, array in weights.items():
        stored = np.asarray(array, dtype="<f2" if array.dtype == np.float16 else "<f4")
        file.create_dataset(name, data=stored, track_times=False)


def _read_weights(file: h5py.File, path: str | Path, description: Description) -> Weights:
    datasets: dict[str, h5py.Dataset] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset) and not name.startswith(f"{DESCRIPTION}/"):
            datasets[name] = item

    file.visititems(keep)
    # A dataset can be larger than what is stored of it, or lie in another file, so this comes before numbers.
    check_shapes({name: dataset.shape for name, dataset in datasets.items()}, description, path)
    for name, dataset in datasets.items():
        if dataset.dtype.kind != "f" or dataset.external or dataset.is_virtual:
            raise StudyError(
                f"{path}: {name} holds {dataset.dtype} or lies elsewhere; it must be float32 numbers."
            )
    weights = {name: np.asarray(dataset[()], dtype=np.float32) for name, dataset in datasets.items()}
    check_weights(weights, description, path)
    if file.attrs.get("weights_sha256") != weights_digest(weights):
        raise StudyError(f"{path}: the weights do not have the recorded weights_sha256; the file is damaged.")
    return {name: weights[name] for name in description.parameters}


# The description as groups and attributes. A group of a layer has its settings, shapes and
# parameters, and a block the layers of each branch; lists of texts are datasets, as an attribute is too small for a
# thousand labels.


def _write_description(group: h5py.Group, description: Description) -> None:
    fields = description.to_dict()
    group.attrs["name"] = fields["name"]
    write_values(group.create_group("input"), fields["input"])
    write_texts(group, "labels", fields["labels"])
    _write_layers(group, fields["layers"])


def _write_layers(group: h5py.Group, layers: Sequence[Mapping]) -> None:
    write_texts(group, "layer_names", [layer["name"] for layer in layers])
    for layer in layers:
        part = group.create_group(f"layers/{layer['name']}")
        write_values(part, {key: layer[key] for key in ("kind", "in_shape", "shape")})
        write_values(part.create_group("settings"), layer["settings"])
        parameters = part.create_group("parameters")
        write_texts(part, "parameter_names", list(layer["parameters"]))
        write_values(parameters, layer["parameters"])
        for number, branch in enumerate(layer.get("branches", ()), start=1):
            _write_layers(part.create_group(f"branches/{number}"), branch)


def _read_layers(group: h5py.Group, deep: int = 0) -> list[dict]:
    if deep > MOST_DEEP:
        raise ValueError(f"its blocks stand more than {MOST_DEEP} deep inside of each other")
    layers = []
    for name in read_texts(group["layer_names"]):
        part = group[f"layers/{name}"]
        parameters = read_values(part["parameters"])
        branches = part.get("branches", {})
        layers.append(
            {
                "name": name,
                **read_values(part),
                "settings": read_values(part["settings"]),
                "parameters": {key: parameters[key] for key in read_texts(part["parameter_names"])},
                "branches": [
                    _read_layers(branches[str(number)], deep + 1) for number in range(1, len(branches) + 1)
                ],
            }
        )
    return layers


def _read_description(file: h5py.File, source: str) -> Description:
    group = file[DESCRIPTION]
    fields = {
        "name": group.attrs["name"],
        "input": read_values(group["input"]),
        "layers": _read_layers(group),
        "labels": read_texts(group["labels"]),
    }
    description = Description.from_dict(fields, source)
    if file.attrs["description_sha256"] != description.digest:
        raise StudyError(
            f"{source}: the description of the network does not have the recorded description_sha256; "
            f"the file is damaged."
        )
    check_layers(description)
    return description

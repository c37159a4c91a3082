"""The classifier spec: a CNN in a YAML file, from which every engine builds the same network."""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import yaml

from promptflux.errors import StudyError
from promptflux.inputs import InputSpec
from promptflux.schema import problems

CLASSIFIER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")

# Every layer kind with its settings' defaults. A pool's stride is its kernel if nothing is said.
DEFAULTS = {
    "conv": {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "bias": True, "activation": "identity"},
    "batchnorm": {"eps": 1e-5, "activation": "identity"},
    "maxpool": {"stride": None, "padding": 0},
    "meanpool": {"stride": None, "padding": 0},
    "dropout": {},
    "flatten": {},
    "dense": {"activation": "identity"},
    "relu": {},
    "gelu": {},
    "sigmoid": {},
    "tanh": {},
    "leaky_relu": {"slope": 0.01},
    "identity": {},
    "softmax": {},
}
# What the value of a layer means where it is not a mapping: `maxpool: 2` is `maxpool: {kernel: 2}`.
SHORTHAND = {"maxpool": "kernel", "meanpool": "kernel", "dense": "out", "dropout": "p"}
PAIRS = ("kernel", "stride", "padding", "dilation")

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """A layer of the network.

    name: its kind and its running number among that kind, such as `conv1`. settings: all of
    them, defaults filled in, sizes as (height, width). in_shape, shape: of what it takes and
    gives for one image, (C, H, W) or (K,).
    """

    name: str
    kind: str
    settings: Mapping
    in_shape: Shape
    shape: Shape

    @property
    def parameters(self) -> dict[str, Shape]:
        """The names and shapes of the layer's parameters, as PyTorch has them and in its order."""
        settings, channels = self.settings, self.in_shape[0]
        if self.kind == "conv":
            weight = (settings["out"], channels // settings["groups"], *settings["kernel"])
            return {"weight": weight} | ({"bias": weight[:1]} if settings["bias"] else {})
        if self.kind == "dense":
            return {"weight": (settings["out"], channels), "bias": (settings["out"],)}
        if self.kind == "batchnorm":
            return dict.fromkeys(("weight", "bias", "running_mean", "running_var"), (channels,))
        return {}


@dataclass(frozen=True)
class Spec:
    """A classifier spec, read and checked. `weights` is the mapping of the file."""

    name: str
    path: Path
    description: str
    input: InputSpec
    layers: tuple[Layer, ...]
    labels: tuple[str, ...]
    weights: Mapping

    @property
    def parameters(self) -> dict[str, Shape]:
        """The name `{layer}/{parameter}` and the shape of every parameter, in the network's order."""
        return {
            f"{layer.name}/{parameter}": shape
            for layer in self.layers
            for parameter, shape in layer.parameters.items()
        }

    @property
    def weights_path(self) -> Path | None:
        """The file that the weights come from; None if they come from a seed."""
        source = self.weights.get("file") or self.weights.get("checkpoint")
        return self.path.parent / source if source else None


def load_spec(path: str | Path, *, weights_exist: bool = True) -> Spec:
    """Read `path` and check it: the keys and values, that each layer fits the one before, the labels.

    weights_exist: also check that the weights' file is there (False for who is to make it).
    Raises StudyError with a sentence for each problem.
    """
    path = Path(path)
    value = _read(path)
    found = problems(value, "classifier", str(path))
    if not CLASSIFIER_NAME.fullmatch(path.stem):
        found.append(
            f"{path}: the file's name is the classifier's, which may hold letters, digits, _ and - "
            f"and begins with a letter or digit."
        )
    if found:
        raise StudyError(*found)
    try:
        input_spec = InputSpec.from_config(value["input"])
    except StudyError as error:
        raise StudyError(f"{path}: {error}") from None
    spec = Spec(
        name=path.stem,
        path=path,
        description=value.get("description", ""),
        input=input_spec,
        layers=_layers(path, value["layers"], input_spec.shape),
        labels=tuple(value["labels"]),
        weights=value["weights"],
    )
    found = [*_output_problems(spec), *_weights_problems(spec, weights_exist)]
    if found:
        raise StudyError(*(f"{path}: {problem}" for problem in found))
    return spec


def times(shape: Shape) -> str:
    """A shape as people write it: 16×3×3."""
    return "×".join(map(str, shape))


def _read(path: Path) -> Mapping:
    try:
        value = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise StudyError(f"{path}: the classifier spec cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise StudyError(f"{path}: byte {error.start} is not UTF-8; save the spec as UTF-8 text.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        reason = getattr(error, "problem", None) or error
        raise StudyError(f"{path}{where}: this is not YAML ({reason}).") from None
    if not isinstance(value, Mapping):
        raise StudyError(f"{path}: a classifier spec is a mapping of input, layers, labels and weights.")
    return value


def _layers(path: Path, entries: list, shape: Shape) -> tuple[Layer, ...]:
    """The layers of the file, each with the shapes that the layers before give it."""
    layers: list[Layer] = []
    numbers: Counter[str] = Counter()
    for index, entry in enumerate(entries):
        kind, settings = _settings(entry)
        numbers[kind] += 1
        name = f"{kind}{numbers[kind]}"
        try:
            if kind == "softmax" and index < len(entries) - 1:
                raise StudyError("softmax must be the last layer")
            out_shape = _out_shape(kind, settings, shape)
        except StudyError as error:
            raise StudyError(f"{path}: {name} (layers[{index}]) gets {times(shape)}; {error}.") from None
        layers.append(Layer(name, kind, settings, shape, out_shape))
        shape = out_shape
    return tuple(layers)


def _settings(entry: str | Mapping) -> tuple[str, dict]:
    """The kind of a layer and all its settings."""
    kind, given = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    if not isinstance(given, Mapping):
        given = {SHORTHAND[kind]: given}
    settings = DEFAULTS[kind] | dict(given)
    if kind in ("maxpool", "meanpool") and settings["stride"] is None:
        settings["stride"] = settings["kernel"]
    for key in PAIRS:
        if key in settings:
            value = settings[key]
            settings[key] = tuple(map(int, value if isinstance(value, list) else (value, value)))
    for key in ("out", "groups"):
        if key in settings:
            settings[key] = int(settings[key])
    return kind, settings


def _out_shape(kind: str, settings: Mapping, shape: Shape) -> Shape:
    """What a layer makes of `shape`; StudyError with half a sentence if it does not fit."""
    if kind in ("dense", "softmax"):
        if len(shape) != 1:
            raise StudyError(f"{kind} takes a vector, so put `- flatten` before it")
        return (settings["out"],) if kind == "dense" else shape
    if kind == "flatten":
        return (prod(shape),)
    if kind not in ("conv", "maxpool", "meanpool"):
        return shape

    if len(shape) != 3:
        raise StudyError(f"{kind} takes maps of channels × height × width, so put it before `- flatten`")
    channels, *sides = shape
    kernel, padding = settings["kernel"], settings["padding"]
    if kind == "conv":
        channels = settings["out"]
        for what, count in (("input", shape[0]), ("output", channels)):
            groups = settings["groups"]
            if count % groups:
                raise StudyError(f"its {count} {what} channels cannot be divided into {groups} groups")
    elif any(2 * around > side for around, side in zip(padding, kernel, strict=True)):
        raise StudyError(f"its padding {times(padding)} is more than half of its kernel {times(kernel)}")
    dilation = settings.get("dilation", (1, 1))
    # The formula of torch.nn.Conv2d and MaxPool2d (ceil_mode=False).
    reach = [spread * (side - 1) + 1 for spread, side in zip(dilation, kernel, strict=True)]
    room = [side + 2 * around for side, around in zip(sides, padding, strict=True)]
    if any(side < needed for side, needed in zip(room, reach, strict=True)):
        raise StudyError(
            f"its kernel covers {times(reach)} pixels, which is more than the {times(room)} "
            f"that there are with the padding"
        )
    strides = settings["stride"]
    sides = [(side - needed) // step + 1 for side, needed, step in zip(room, reach, strides, strict=True)]
    return channels, *sides


def _output_problems(spec: Spec) -> list[str]:
    last, names = spec.layers[-1], len(spec.labels)
    if len(last.shape) != 1:
        return [
            f"the network ends in maps of {times(last.shape)} ({last.name}); it must end in a vector (dense)."
        ]
    if last.shape[0] != names:
        return [f"labels has {names} names, and the network has {last.shape[0]} outputs ({last.name})."]
    return []


def _weights_problems(spec: Spec, weights_exist: bool) -> list[str]:
    weights = spec.weights
    sources = [key for key in ("file", "seed", "checkpoint") if key in weights]
    if len(sources) != 1:
        given = " and ".join(sources) or "no source"
        return [f"weights has {given}; it needs one of file, seed and checkpoint."]
    found = []
    if sources == ["file"] and "sha256" not in weights:
        found.append("weights names a file without its sha256; add the digest that `sha256sum` prints.")
    if sources == ["seed"] and "sha256" in weights:
        found.append("weights has a seed and a sha256; only a file or a checkpoint has a sha256.")
    if sources != ["checkpoint"] and "rename" in weights:
        found.append("weights has a rename, which only a checkpoint can have.")
    with_parameters = [layer.name for layer in spec.layers if layer.parameters]
    for module, layer in weights.get("rename", {}).items():
        if layer not in with_parameters:
            found.append(
                f"weights.rename makes {module!r} the layer {layer!r}; "
                f"the layers with parameters are {', '.join(with_parameters)}."
            )
    twice = [layer for layer, count in Counter(weights.get("rename", {}).values()).items() if count > 1]
    if twice:
        found.append(f"weights.rename gives the layer {' and '.join(twice)} more than one source.")
    if weights_exist and spec.weights_path and not spec.weights_path.is_file():
        key = sources[0]
        found.append(f"weights.{key} is {weights[key]!r}, and there is no file {spec.weights_path}.")
    return found

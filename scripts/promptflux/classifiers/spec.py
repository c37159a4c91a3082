"""The classifier spec: a CNN in a YAML file, from which every engine builds the same network."""

import os
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from promptflux.classifiers.architectures import ARCHITECTURES, SAID, find_architecture, with_outputs
from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import MOST_DEEP, Block, Kind, Layer, Shape, shape_text
from promptflux.classifiers.kinds import KINDS, given_shape, layer_schemas, required
from promptflux.classifiers.labels import with_labels
from promptflux.classifiers.models import OF_MODEL, read_model
from promptflux.documents import read_yaml
from promptflux.errors import StudyError, listed, plain, shown
from promptflux.images.inputs import InputSpec
from promptflux.schema import Schema

CLASSIFIER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MOST_VALUES = 2**30  # of all parameters, or of a layer's output for one image: 4 GiB

SCHEMA = Schema("classifier", layer_schemas())


@dataclass(frozen=True)
class Spec(Description):
    """A classifier spec, read and checked.

    about: a sentence. weights: the mapping of the file, or {model} with the file that layers and weights come from.
    architecture: the file that its layers come from, if it is another. labels_file: the file with the labels, if they
    are in one. modules: of a layer, by its name, the names that its module may have in a checkpoint. beside: the files
    beside the model that hold its weights.
    """

    about: str
    weights: Mapping
    architecture: Path | None = None
    labels_file: Path | None = None
    modules: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    beside: tuple[Path, ...] = ()

    @property
    def path(self) -> Path:
        return Path(self.source)

    @property
    def files(self) -> list[Path]:
        """The files that the spec was read from, without that of its weights."""
        return [self.path, *filter(None, (self.architecture, self.labels_file)), *self.beside]

    @property
    def weights_path(self) -> Path | None:
        """The file that the weights come from; None if they come from a seed."""
        source = next(
            (self.weights[key] for key in ("file", "checkpoint", "model") if key in self.weights), None
        )
        return self.path.parent / source if source else None


def load_spec(path: str | Path, *, weights_exist: bool = True, value: Mapping | None = None) -> Spec:
    """Read `path` and check it: the keys and values, that each layer fits the one before, the labels.

    weights_exist: also check that the weights' file is there (False for who is to make it). value: what the file is
    going to hold, if it is not there yet. Raises StudyError with a sentence for each problem.
    """
    path = Path(path)
    where = plain(path)
    value, labels_file = with_labels(_read(path) if value is None else value, path)
    value, model, beside = _with_model(path, value)
    value, architecture = _with_architecture(path, value)
    if architecture and labels_file is None:
        value, labels_file = with_labels(value, architecture)
    # The layers of an architecture have been checked.
    checked: dict = {"layers": ["relu"]} if architecture else {"weights": {}} if model else {}
    found = _problems({**value, **checked}, where)
    if not CLASSIFIER_NAME.fullmatch(path.stem):
        found.append(
            f"{where}: the file's name is the classifier's, which may hold letters, digits, _ and -, "
            f"begins with a letter or digit and has at most 64 characters."
        )
    if found:
        raise StudyError(*found)
    try:
        input_spec = InputSpec.from_config(value["input"])
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    reading = _Reading(where, f" of {plain(architecture or model)}" if architecture or model else "")
    spec = Spec(
        name=path.stem,
        source=str(path),
        about=value.get("description", ""),
        input=input_spec,
        layers=_layers(reading, value["layers"], input_spec.shape),
        labels=tuple(value["labels"]),
        weights=value["weights"],
        architecture=architecture,
        labels_file=labels_file,
        modules=reading.modules,
        beside=beside,
    )
    found = [*_output_problems(spec), *_size_problems(spec), *_weights_problems(spec, weights_exist)]
    if found:
        raise StudyError(*(f"{where}: {problem}" for problem in found))
    return spec


def resolved_layers(where: str, layers: list, shape: Shape) -> tuple[Layer, ...]:
    """Layers, as a spec has them, that take images of `shape`, (C, H, W). where: they stand, for messages."""
    return _layers(_Reading(where), layers, shape)


def _problems(value: Mapping, where: str) -> list[str]:
    """What is wrong with the keys and values of a spec, a sentence each."""
    misread = _layers_without_settings(value.get("layers"))
    layers = {"layers": _without(value["layers"], misread)} if "layers" in value else {}
    found = SCHEMA.problems({**value, **layers}, where)
    return found + [f"{where}: {sentence}" for sentence in misread.values()]


def _with_architecture(path: Path, value: Mapping) -> tuple[Mapping, Path | None]:
    """A spec with what the architecture that it names says and it does not; the architecture's file, if it names one."""
    if not isinstance(value.get("architecture"), str):
        return value, None
    if "layers" in value:
        raise StudyError(
            f"{plain(path)}: architecture and layers are both given; the layers are those of the architecture."
        )
    file = find_architecture(value["architecture"], path)
    ready = _read(file, typed=file.parent != ARCHITECTURES)
    if file.parent != ARCHITECTURES:  # those are held by tests
        wrong = [key for key in ready if key not in (*SAID, "weights")]
        found = [f"{plain(file)}: an architecture has no {key}." for key in wrong]
        whole = {"input": "gray1", "labels": ["any"], "weights": {}, **ready}
        if found := found + _problems({key: whole[key] for key in whole if key not in wrong}, plain(file)):
            raise StudyError(*found)
    merged = {**{key: ready[key] for key in SAID if key in ready}, **value}
    weights = value.get("weights")
    if (
        isinstance(weights, Mapping)
        and "checkpoint" in weights
        and isinstance(weights.get("unused", []), list)
    ):
        unused = [*ready.get("weights", {}).get("unused", []), *weights.get("unused", [])]
        merged["weights"] = {**weights, **({"unused": unused} if unused else {})}
    if isinstance(value.get("labels"), list):
        merged["layers"] = with_outputs(ready["layers"], len(value["labels"]))
    return merged, file


def _with_model(path: Path, value: Mapping) -> tuple[Mapping, Path | None, tuple[Path, ...]]:
    """A spec with the layers of the model that it names; the model's file, if it names one, and the files beside it."""
    own = (*OF_MODEL[False], *OF_MODEL[True])
    if not isinstance(value.get("model"), str):
        if "model" not in value and (alone := [key for key in own if key in value]):
            raise StudyError(f"{plain(path)}: {' and '.join(alone)} is given, which only a model has.")
        return value, None, ()
    if twice := [key for key in ("architecture", "layers", "weights") if key in value]:
        raise StudyError(
            f"{plain(path)}: model and {' and '.join(twice)} are both given; a model has its layers and its weights."
        )
    source = {key: value[key] for key in ("model", *own) if key in value}
    if type(source.get("output")) is int:  # as PyTorch names what has no name
        source["output"] = str(source["output"])
    filled = {**value, "layers": ["relu"], "weights": source}
    if found := _problems({**filled, "weights": {}}, plain(path)):
        raise StudyError(*found)
    network = read_model(path, source, InputSpec.from_config(value["input"]).shape)
    file = path.parent / value["model"]
    filled["layers"] = network.spec_layers()
    return filled, file, tuple(map(Path, network.files[1:]))


def _read(path: Path, typed: bool = True) -> Mapping:
    """The mapping of the file; typed: with its numbers of the types that the schema wants."""
    value = read_yaml(path, "classifier spec")
    if not isinstance(value, Mapping):
        raise StudyError(
            f"{plain(path)}: a classifier spec is a mapping of input, layers, labels and weights."
        )
    return SCHEMA.typed(value) if typed else value


def _layers_without_settings(value: Any, place: str = "layers") -> dict[str, str]:
    """A sentence for each layer, by its place, that is a name which needs settings, or a name with a colon and none."""
    found: dict[str, str] = {}
    for index, entry in enumerate(value if isinstance(value, list) else []):
        here = f"{place}[{index}]"
        colon = isinstance(entry, Mapping) and len(entry) == 1 and next(iter(entry.values())) is None
        name = next(iter(entry)) if isinstance(entry, Mapping) and len(entry) == 1 else entry
        kind = KINDS.get(name) if isinstance(name, str) else None
        if kind is None:
            continue
        if isinstance(entry, Mapping) and isinstance(kind, Block) and isinstance(entry[name], Mapping):
            for part, branch in kind.entries(entry[name]):
                found |= _layers_without_settings(branch, f"{here}.{name}.{part}")
        elif required(kind) and (colon or entry == name):
            first = required(kind)[0]
            wanted = (
                f"needs settings, such as {kind.written}" if kind.written else f"needs {_wanted(kind, first)}"
            )
            found[here] = f"{here} is {name!r} without its settings; `- {name}:` {wanted}."
        elif colon:
            found[here] = f"{here} is `{name}:` with nothing after the colon; write `- {name}`."
    return found


def _wanted(kind: Kind, setting: str) -> str:
    return kind.schema[setting].get("description", setting)


def _without(value: Any, places: Mapping[str, str], place: str = "layers") -> Any:
    """`value` without the layers at `places`, which have had their sentence; the others keep their index."""
    if isinstance(value, list):
        return [
            "relu" if (here := f"{place}[{index}]") in places else _without(entry, places, here)
            for index, entry in enumerate(value)
        ]
    if isinstance(value, Mapping):
        return {key: _without(part, places, f"{place}.{key}") for key, part in value.items()}
    return value


@dataclass
class _Reading:
    """What the reading of layers needs to say, and finds beside them.

    where: the file, for messages. of: the file that the layers are of, if it is another. modules: as in `Spec`.
    """

    where: str
    of: str = ""
    modules: dict[str, tuple[str, ...]] = field(default_factory=dict)


def _layers(
    reading: _Reading,
    entries: list,
    shape: Shape,
    place: str = "layers",
    block: str = "",
    numbers: Counter | None = None,
) -> tuple[Layer, ...]:
    """The layers of a list, each with the shapes that the layers before give it.

    place: of the list in the file. block: the name of the block that they are in. numbers: how many of each
    kind the block has before them, over all its branches.
    """
    layers: list[Layer] = []
    numbers = Counter() if numbers is None else numbers
    for index, entry in enumerate(entries):
        kind, given = _entry(entry)
        numbers[kind.name] += 1
        name = f"{block}{'.' if block else ''}{kind.numbered(numbers[kind.name])}"
        here = f"{place}[{index}]"
        if isinstance(kind, Block) and name.count(".") >= MOST_DEEP:
            raise StudyError(
                f"{reading.where}: {here}{reading.of} stands in {MOST_DEEP} other blocks; that is as deep as they may stand."
            )
        if module := given.get("module"):
            reading.modules[name] = tuple(module) if isinstance(module, list) else (module,)
            given = {key: value for key, value in given.items() if key != "module"}
        inner: Counter[str] = Counter()
        branches = (
            tuple(
                _layers(reading, branch, shape, f"{here}.{kind.name}.{part}", name, inner)
                for part, branch in kind.entries(given)
            )
            if isinstance(kind, Block)
            else ()
        )
        ends = [branch[-1].shape if branch else shape for branch in branches]
        try:
            if kind.name == "softmax" and (block or index < len(entries) - 1):
                raise StudyError("softmax must be the last layer")
            settings = kind.resolved(_settings(kind, given), shape)
            out_shape = given_shape(kind, settings, shape, ends)
        except StudyError as error:
            raise StudyError(
                f"{reading.where}: {name} ({here}{reading.of}) gets {shape_text(shape)}; {error}."
            ) from None
        parameters = kind.parameters(settings, shape)
        layers.append(Layer(name, kind.name, settings, shape, out_shape, parameters, branches))
        shape = out_shape
    return tuple(layers)


def _entry(entry: str | Mapping) -> tuple[Kind, Mapping]:
    """The kind of a layer of the spec, and the settings that are given."""
    name, given = (entry, {}) if isinstance(entry, str) else next(iter(entry.items()))
    kind = KINDS[name]
    return kind, given if isinstance(given, Mapping) else {kind.shorthand: given}


def _settings(kind: Kind, given: Mapping) -> dict:
    """All settings of a layer; those of its activation which are not the defaults as `activation_slope`."""
    settings = kind.settings({key: value for key, value in given.items() if key != "activation"})
    if kind.activates:
        activation, own = _entry(given.get("activation", "identity"))
        settings["activation"] = activation.name
        settings |= {
            f"activation_{key}": value
            for key, value in activation.settings(own).items()
            if value != activation.defaults[key]
        }
    return settings


def _output_problems(spec: Spec) -> list[str]:
    last, names = spec.layers[-1], len(spec.labels)
    if prod(last.shape) != last.shape[0]:
        return [
            f"the network ends in maps of {shape_text(last.shape)} ({last.name}); it must end in one number for a label, "
            f"as after dense or globalmeanpool."
        ]
    if last.shape[0] != names:
        return [f"labels has {names} names, and the network has {last.shape[0]} outputs ({last.name})."]
    return []


def _size_problems(spec: Spec) -> list[str]:
    """What no machine of today holds; it would end the run when its weights are read."""
    count = sum(map(prod, spec.parameters.values()))
    found = (
        [f"the network has {count:,} parameters; at most {MOST_VALUES:,} are taken."]
        if count > MOST_VALUES
        else []
    )
    large = [layer for layer in spec.walk() if prod(layer.shape) > MOST_VALUES]
    return found + [
        f"{layer.name} gives {shape_text(layer.shape)} values for an image; at most {MOST_VALUES:,} are taken."
        for layer in large[:1]
    ]


def _weights_problems(spec: Spec, weights_exist: bool) -> list[str]:
    weights = spec.weights
    if "model" in weights:
        return []
    sources = [key for key in ("file", "seed", "checkpoint") if key in weights]
    if len(sources) != 1:
        given = " and ".join(sources) or "no source"
        return [f"weights has {given}; it needs one of file, seed and checkpoint."]
    found = []
    if sources == ["file"] and "sha256" not in weights:
        found.append("weights names a file without its sha256; add the digest that `sha256sum` prints.")
    if sources == ["seed"] and "sha256" in weights:
        found.append("weights has a seed and a sha256; only a file or a checkpoint has a sha256.")
    found += [
        f"weights has {article} {key}, which only a checkpoint can have."
        for article, key in (("a", "rename"), ("a", "key"), ("an", "unused"), ("an", "axes"))
        if sources != ["checkpoint"] and key in weights
    ]
    with_parameters = [layer.name for layer in spec.walk() if layer.parameters]
    for module, layer in weights.get("rename", {}).items():
        if layer not in with_parameters:
            found.append(
                f"weights.rename makes {shown(module)} the layer {shown(layer)}; "
                f"the layers with parameters are {listed(with_parameters, 20)}."
            )
    modules = Counter(names[0] for names in spec.modules.values())
    found += [
        f"the layers {listed([layer for layer, names in spec.modules.items() if names[0] == module])} have the same "
        f"module {shown(module)}."
        for module, count in modules.items()
        if count > 1
    ]
    twice = [layer for layer, count in Counter(weights.get("rename", {}).values()).items() if count > 1]
    if twice:
        found.append(f"weights.rename gives the layer {' and '.join(twice)} more than one source.")
    if weights_exist and spec.weights_path and not os.path.isfile(spec.weights_path):
        key = sources[0]
        found.append(
            f"weights.{key} is {shown(weights[key])}, and there is no file {plain(spec.weights_path)}."
        )
    return found

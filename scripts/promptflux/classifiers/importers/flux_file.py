"""A file that Julia's Flux users have, .bson or .jld2: its network, or its weights for the layers of a spec."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from promptflux.classifiers.importers.bson import is_bson, read_bson
from promptflux.classifiers.importers.entries import Entry, Network
from promptflux.classifiers.importers.flux_model import (
    BLOCK,
    HWCN,
    JOIN,
    UNKNOWN,
    WHCN,
    FluxModel,
    joined,
    model_of,
    number_of,
)
from promptflux.classifiers.importers.jld2 import is_jld2, read_jld2
from promptflux.classifiers.importers.julia_values import Misfit
from promptflux.classifiers.kind import Layer, Shape, shape_text
from promptflux.classifiers.kinds import ACTIVATIONS, KINDS
from promptflux.classifiers.spec import Spec, resolved_layers
from promptflux.classifiers.weights import Weights, check_weights
from promptflux.errors import StudyError, listed, plain, reason
from promptflux.runtime.job import note

SUFFIXES = (".bson", ".jld2")
# What does not change what a network gives, or only its form.
WITHOUT_EFFECT = ("dropout", "identity", "flatten", "softmax")
MOST_SIDE = 512  # of images, in pixels, when their size is looked for
# What a function that a user wrote can stand for.
INSTEAD = ("flatten", "globalmeanpool", "globalmaxpool", "identity", "softmax", *ACTIVATIONS)
JOINS = ("concat", "sum", "scale")


def is_flux_file(path: str | Path) -> bool:
    """Whether a file is one that Julia's BSON.jl or JLD2.jl wrote, or has their suffix."""
    with open(path, "rb") as file:
        start = file.read(1024)
    return is_bson(start, Path(path).stat().st_size) or is_jld2(start) or Path(path).suffix in SUFFIXES


def read_flux(path: str | Path, axes: str = WHCN) -> FluxModel:
    """The model in a file; see `model_of`. Nothing in it is run. Raises StudyError for what is damaged or no model."""
    where = plain(path)
    try:
        content = Path(path).read_bytes()
        values = read_jld2(content) if is_jld2(content[:1024]) else read_bson(content)
        return model_of(values, where, axes)
    except Misfit as error:
        raise StudyError(f"{where}: the model cannot be read ({plain(error)}).") from None
    except StudyError:
        raise
    except Exception as error:  # a damaged file can make any
        raise StudyError(
            f"{where}: the model is damaged ({type(error).__name__}: {reason(error)})."
        ) from None


# Its network ---------------------------------------------------------------------------------


def flux_network(path: str | Path, axes: str = WHCN, instead: Mapping[str, str] | None = None) -> FluxNetwork:
    """The network of a whole chain, with its weights; see `turned`, if `axes` are HWCN.

    instead: the layers that stand in the place of functions whose code would have to be run, such as
    {"model[3]": "flatten"}, or how such a function joins branches, {"model[4].connection": "sum relu"}. Raises StudyError
    with a sentence for each such function without one, and for a state, which has no names of functions.
    """
    model, instead = read_flux(path, axes), dict(instead or {})
    where = model.where
    if not model.whole:
        raise StudyError(
            f"{where}: this is the state of a model, which has its weights and not its functions; write a spec with its "
            f"layers and `weights: {{checkpoint: {plain(Path(path).name)}}}`, or save the model itself: "
            f'`BSON.@save "model.bson" model`.'
        )
    places = [place for place, _, _ in model.unknown]
    problems = [
        f"{where}: {place} is {what}, which is not run; if it does what `{layer or 'relu'}` does, say "
        f"`--instead '{place}={layer or 'relu'}'`, or in a spec `instead: {{'{place}': {layer or 'relu'}}}`."
        for place, what, layer in model.unknown
        if place not in instead
    ]
    for place, layer in instead.items():
        if place not in places:
            known = f"such are {listed(places)}" if places else "it has none"
            problems.append(f"{where}: {plain(place)} is no function of the user's own; {known}.")
        if place.endswith(JOIN):
            join, *after = layer.split() or [""]
            follows = said_layers(after)
            if (
                join not in JOINS
                or follows is None
                or len(follows) > 1
                or not {entry.kind for entry in follows} <= set(ACTIVATIONS)
            ):
                problems.append(
                    f"{plain(layer)} does not join branches; {', '.join(JOINS)} do, and an activation may follow: `sum relu`."
                )
        elif not said_layers(layer.split()):
            problems.append(
                f"{plain(layer)} cannot stand in the place of a function; {', '.join(INSTEAD)} can, one after the other, "
                f"and `leaky_relu 0.2`."
            )
    if problems:
        raise StudyError(*problems)
    try:
        layers = _replaced(model.layers, instead)
    except StudyError as error:
        raise StudyError(f"{where}: {error}") from None
    return FluxNetwork(layers, (str(path),), tuple(model.notes), axes, tuple(model.of_dims))


@dataclass(frozen=True)
class FluxNetwork(Network):
    """A network of a file of Flux. axes: as in `model_of`. of_dims: as in `FluxModel`."""

    axes: str = WHCN
    of_dims: tuple[tuple[Entry, int, str], ...] = ()

    def weights(self, layers: Sequence[Layer]) -> Weights:
        check_dims(self.of_dims, self.pairs(layers), plain(self.files[0]))
        arrays = {
            name: np.ascontiguousarray(array, np.float32) for name, array in super().weights(layers).items()
        }
        return turned(arrays, layers) if self.axes == HWCN else arrays

    def pairs(self, layers: Sequence[Layer]) -> list[tuple[Entry, Layer]]:
        """Each of its layers, and the layer of a spec that it is."""
        own = [inner for entry in self.layers for inner in entry.walk()]
        return list(zip(own, [inner for layer in layers for inner in layer.walk()], strict=True))

    def check(self, shape: Shape) -> None:
        """Raise StudyError, with a sentence for each layer that has other weights than images of `shape`, (C, H, W), need."""
        where = plain(self.files[0])
        pairs = self.pairs(resolved_layers(where, self.spec_layers(), shape))
        check_dims(self.of_dims, pairs, where)
        problems = [
            f"{where}: {entry.said} has {_shapes(own)}, and for images of {shape_text(shape)} it would have "
            f"{_shapes(layer.parameters)}."
            for entry, layer in pairs
            if (own := {name: array.shape for name, array in entry.parameters.items()})
            != dict(layer.parameters)
        ]
        if problems:
            raise StudyError(*problems[:8])


def image_shape(network: FluxNetwork) -> Shape:
    """The shape (C, H, W) of the square images that a network of Flux takes, which its file does not say.

    It follows from the weights behind a flatten. StudyError if several sizes fit, or none.
    """
    where = plain(network.files[0])
    kernels = [entry for top in network.layers for entry in top.walk() if entry.kind == "conv"]
    if not kernels:
        raise StudyError(
            f"{where}: it begins with no convolution, so say what images it takes: --input gray28."
        )
    first = kernels[0]
    channels = first.parameters["weight"].shape[1] * first.settings.get("groups", 1)
    sides = [side for side in range(1, MOST_SIDE + 1) if _fits(network, (channels, side, side))]
    color = {1: "gray", 3: "rgb"}.get(channels, "rgb")
    if len(sides) == 1:
        return channels, sides[0], sides[0]
    many = listed([str(side) for side in sides], 4)
    raise StudyError(
        f"{where}: it takes square images of {many} pixels, and does not say of how many; say it: --input {color}{sides[0]}."
        if sides
        else f"{where}: it takes images that are not square, and does not say which; say it: --input {color}90x120 (height, width)."
    )


def _fits(network: FluxNetwork, shape: Shape) -> bool:
    try:
        network.check(shape)
    except StudyError:
        return False
    return True


def _replaced(entries: Iterable[Entry], instead: Mapping[str, str]) -> list[Entry]:
    found = []
    for entry in entries:
        entry.branches = [_replaced(branch, instead) for branch in entry.branches]
        if entry.kind == BLOCK:
            join, *after = instead[entry.said + JOIN].split()
            [*follows] = said_layers(after) or []
            activation = next(
                ({part.kind: part.settings} if part.settings else part.kind for part in follows), ""
            )
            found += joined(entry.branches, join, activation, entry.said)
        elif entry.kind != UNKNOWN:
            found.append(entry)
        else:
            parts = said_layers(instead[entry.said].split()) or []
            found += [
                Entry(part.kind, part.settings, said=entry.said) for part in parts if part.kind != "identity"
            ]
    return found


def said_layers(words: Sequence[str]) -> list[Entry] | None:
    """The layers that the words of an `instead` name, `globalmeanpool flatten` or `leaky_relu 0.2`; None if a word is none."""
    found: list[Entry] = []
    for word in words:
        if word in INSTEAD:
            found.append(Entry(word))
        elif (
            found
            and not found[-1].settings
            and number_of(found[-1].kind)
            and re.fullmatch(r"-?\d{1,9}(\.\d{1,9})?", word)
        ):
            found[-1].settings[number_of(found[-1].kind)] = float(word)
        else:
            return None
    return found


# Its weights for a spec ----------------------------------------------------------------------


def flux_weights(path: str, spec: Spec) -> Weights:
    """The weights of a model in a file of Flux under the names of `spec`, whose layers come in the same order.

    Raises StudyError if the layers with parameters are not those of the spec, or if what is known of any other is not what
    the spec says. What is not known, a function of the user's own or all functions of a state, is as the spec has it.
    """
    axes = spec.weights.get("axes", WHCN)
    if unfit := [key for key in ("rename", "key", "unused") if key in spec.weights]:
        raise StudyError(
            f"{spec.path}: weights has {' and '.join(unfit)}, which a file of Flux has no use for: its layers come in their order."
        )
    model = read_flux(path, axes)
    for place, what, _ in model.unknown if model.whole else ():
        note(f"{spec.name}: {place} is {what}, which is not run; what stands there is as {spec.path} has it")
    for sentence in model.notes:
        note(f"{spec.name}: {sentence}")
    pairs = _pairs(model, spec)
    check_dims(model.of_dims, pairs, model.where)
    weights = {
        f"{layer.name}/{name}": np.ascontiguousarray(entry.parameters[name], dtype=np.float32)
        for entry, layer in pairs
        for name in layer.parameters
    }
    if axes == HWCN:
        weights = turned(weights, spec.layers)
    check_weights(weights, spec, path)
    for entry, layer in pairs:
        if layer.parameters:
            note(f"{spec.name}: {layer.name} is {entry.said} of {Path(path).name}")
    return {name: weights[name] for name in spec.parameters}


def _pairs(model: FluxModel, spec: Spec) -> list[tuple[Entry, Layer]]:
    """Each layer of the file that has parameters, or branches, and the layer of the spec that it is."""
    pairs: list[tuple[Entry, Layer]] = []
    problems = _compared(model.layers, spec.layers, pairs)
    if problems:
        raise StudyError(
            *(f"{model.where} is not the network of {spec.path}: {problem}." for problem in problems[:8])
        )
    return pairs


def _compared(
    entries: Sequence[Entry], layers: Sequence[Layer], pairs: list[tuple[Entry, Layer]]
) -> list[str]:
    """In what a chain of the file differs from one of the spec, as half sentences; the pairs are put into `pairs`."""
    theirs, ours = _sections(entries, _steps_of_entry), _sections(layers, _steps_of_layer)
    if len(theirs) != len(ours):
        their_names = listed([_entry_said(entry) for entry, _ in theirs[1:]], 12)
        our_names = listed([_layer_said(layer) for layer, _ in ours[1:]], 12)
        return [f"the file has {their_names}, and the spec {our_names}"]
    problems = []
    for (entry, after), (layer, wanted) in zip(theirs, ours, strict=True):
        if entry is not None and layer is not None:
            problems += _misfit(entry, layer)
            if not problems:
                pairs.append((entry, layer))
                for branch, inner in zip(entry.branches, layer.branches, strict=True):
                    problems += _compared(branch, inner, pairs)
        if UNKNOWN not in after and after != wanted:
            behind = f"after {entry.said}" if entry else "at its beginning"
            problems.append(
                f"{behind} the file has {listed(after) if after else 'nothing'}, and the spec {listed(wanted) if wanted else 'nothing'}"
            )
    return problems


Section = tuple[Any, list[str]]


def _sections(chain: Iterable[Any], steps_of: Callable[[Any], list[str]]) -> list[Section]:
    """A chain as its layers with parameters or branches, each with what comes after it; first what comes before all."""
    sections: list[Section] = [(None, [])]
    for layer in chain:
        if layer.parameters or layer.branches:
            sections.append((layer, []))
        sections[-1][1].extend(steps_of(layer))
    return sections


def _steps_of_entry(entry: Entry) -> list[str]:
    """What a layer of the file computes beside its weights, and after them, each step as it is compared."""
    if "size" in entry.settings:  # what window that is depends on the size of the maps
        return [UNKNOWN]
    own = [] if entry.parameters or entry.branches else [_step(entry.kind, entry.settings)]
    return [
        step for step in (*own, entry.settings.get("activation", "identity")) if step not in WITHOUT_EFFECT
    ]


def _steps_of_layer(layer: Layer) -> list[str]:
    own = [] if layer.parameters or layer.branches else [_step(layer.kind, _of_shape(layer))]
    activation = _step(layer.activation, layer.activation_settings)
    return [step for step in (*own, activation) if step not in WITHOUT_EFFECT]


def _of_shape(layer: Layer) -> Mapping[str, Any]:
    """Its settings, without what makes no difference for a vector."""
    if layer.kind == "layernorm" and len(layer.in_shape) == 1:
        return {**layer.settings, "over": "channels"}
    return layer.settings


def _step(kind: str, settings: Mapping[str, Any]) -> str:
    """A layer without parameters, as text: pooling with its window, another with the settings that are not the defaults."""
    if "kernel" in settings:
        window = ("kernel", "stride", "padding")
        return f"{kind} {' '.join(shape_text(settings[key]) for key in window if key in settings)}"
    if kind in WITHOUT_EFFECT or kind not in KINDS:
        return kind
    said = [
        f"{key} {_text(settings[key])}"
        for key in KINDS[kind].schema
        if key in settings and not _same(settings[key], KINDS[kind].defaults.get(key))
    ]
    return " ".join([kind, *said])


def _misfit(entry: Entry, layer: Layer) -> list[str]:
    """In what a layer of the file is another one than that of the spec, as half sentences."""
    if entry.branches and layer.branches:
        while len(entry.branches) > len(layer.branches) and not entry.branches[-1]:
            entry.branches = entry.branches[:-1]  # of a scale: what comes in
        if len(entry.branches) > len(layer.branches):
            return [
                f"{entry.said} has {len(entry.branches)} branches, and {layer.name} {len(layer.branches)}"
            ]
        entry.branches += [[] for _ in layer.branches[len(entry.branches) :]]
        sums = ("residual", "parallel") if layer.settings.get("join", "sum") == "sum" else ()
        same = entry.kind in (BLOCK, layer.kind) or {entry.kind, layer.kind} <= set(sums)
        return [] if same else [f"{entry.said} is {entry.kind}, and {layer.name} is not"]
    if entry.kind != layer.kind:
        return [f"{entry.said} is {_entry_said(entry)}, and {layer.name} is {_layer_said(layer)}"]
    theirs = {name: values.shape for name, values in entry.parameters.items()}
    if theirs != dict(layer.parameters):
        bias = (
            "; write `bias: false` in it" if layer.kind in ("conv", "dense") and "bias" not in theirs else ""
        )
        return [
            f"{entry.said} has {_shapes(theirs)}, and {layer.name} wants {_shapes(layer.parameters)}{bias}"
        ]
    settings = _of_shape(layer)
    return [
        f"{entry.said} has the {key} {_text(value)}, and {layer.name} {_text(settings[key])}"
        for key, value in entry.settings.items()
        if key in settings and key not in ("bias", "activation", "affine") and not _same(value, settings[key])
    ]


def _same(theirs: Any, ours: Any) -> bool:
    if isinstance(ours, float) and isinstance(theirs, float):
        return np.float32(theirs) == np.float32(ours)
    return theirs == ours


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return shape_text(value)
    return str(np.float32(value)) if isinstance(value, float) else str(value)


def _shapes(shapes: Mapping[str, tuple[int, ...]]) -> str:
    return ", ".join(f"{name} {shape_text(shape)}" for name, shape in shapes.items())


def _entry_said(entry: Entry) -> str:
    weight = entry.parameters.get("weight")
    return f"{entry.kind} {shape_text(weight.shape)}" if weight is not None else entry.kind


def _layer_said(layer: Layer) -> str:
    weight = layer.parameters.get("weight")
    return f"{layer.name} {shape_text(weight)}" if weight else layer.name


# What follows from the shapes ------------------------------------------------------------------


def check_dims(
    of_dims: Iterable[tuple[Entry, int, str]], pairs: Iterable[tuple[Entry, Layer]], where: str
) -> None:
    """Raise StudyError if one of these entries takes an image of other dimensions; pairs: entries and their layers."""
    layers = {id(entry): layer for entry, layer in pairs}
    problems = [
        f"{where}: {entry.said} {what}, and no layer of a spec does."
        if dims == 1
        else f"{where}: {entry.said} is for maps, and {layers[id(entry)].name} gets a vector."
        for entry, dims, what in of_dims
        if id(entry) in layers and len(layers[id(entry)].shape) != dims
    ]
    if problems:
        raise StudyError(*problems)


def turned(weights: Mapping[str, np.ndarray], layers: Iterable[Layer]) -> Weights:
    """The weights of a network that took its images as (height, width, channels, N), for one that takes [N, C, H, W].

    Its kernels are turned already. What lies behind a flatten has the height running fastest there, and the width here.
    Raises StudyError for groups of such values, which are others here.
    """
    found, shape = dict(weights), None
    for layer in (inner for top in layers for inner in top.walk()):
        if layer.kind == "flatten" and len(layer.in_shape) == 3:
            shape = layer.in_shape
        elif shape and layer.kind == "groupnorm":
            raise StudyError(
                f"{layer.name} has groups of pixels behind a flatten, which are others with `axes: hwcn`."
            )
        elif shape and layer.parameters and len(layer.in_shape) == 1:
            channels, height, width = shape
            order = (
                np.arange(channels * height * width)
                .reshape(channels, width, height)
                .transpose(0, 2, 1)
                .ravel()
            )
            for name in layer.parameters:
                array = found[f"{layer.name}/{name}"]
                if layer.kind == "dense" and name == "weight":
                    found[f"{layer.name}/{name}"] = np.ascontiguousarray(array[:, order])
                elif layer.kind != "dense":
                    found[f"{layer.name}/{name}"] = array[order]
            shape = None if layer.kind == "dense" else shape
    return found

"""From a model of Julia's Flux, a whole chain or what `Flux.state` makes of one, to the layers of a spec and their weights.

Of a chain each layer is recognized by the name of its type, each function by its name; of a state by the names of the
fields alone, so that its functions are not known. The fields are those of Flux 0.12 to 0.16 (src/layers of FluxML/Flux.jl).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from promptflux.classifiers.importers.entries import Entry
from promptflux.classifiers.importers.julia_values import JuliaType, Misfit, Named, Struct, empty
from promptflux.classifiers.kinds import KINDS
from promptflux.errors import StudyError, plain

MOST_LAYERS = 10_000
DEEPEST_MODEL = 3  # dictionaries and tuples around a model
UNKNOWN, BLOCK = "", "block"
JOIN = ".connection"  # the place of a block's joining function, behind that of the block

WHCN, HWCN = (
    "whcn",
    "hwcn",
)  # the order of the dimensions of the arrays that a network takes; Flux's own is the first

# What each version has, the newest first. A field that is written to no JLD2 file, as it holds nothing, is of the type
# that the parameter of this number is.
CONV: list[tuple[str, ...]] = [
    ("σ", "weight", "bias", "stride", "pad", "dilation", "groups"),
    ("σ", "weight", "bias", "stride", "pad", "dilation"),  # 0.12.0
]
NORM = ("λ", "β", "γ", "μ", "σ²", "ϵ", "momentum", "affine", "track_stats", "active")
NORMS: list[tuple[str, ...]] = [(*NORM, "chs"), ("chs", *NORM)]  # the second in 0.12.0
GROUP_NORMS: list[tuple[str, ...]] = [("G", *NORM, "chs"), ("chs", "G", *NORM)]
SCALES: list[tuple[str, ...]] = [("scale", "bias", "σ"), ("α", "β")]  # 0.12 has the second
FIELDS: dict[str, list[tuple[str, ...]]] = {
    "Chain": [("layers",)],
    "SkipConnection": [("layers", "connection")],
    "Parallel": [("connection", "layers")],
    "Conv": CONV,
    "DepthwiseConv": CONV[1:],
    "CrossCor": CONV[1:],
    "Dense": [("weight", "bias", "σ")],
    "BatchNorm": NORMS,
    "InstanceNorm": NORMS,
    "GroupNorm": GROUP_NORMS,
    "LayerNorm": [("λ", "diag", "ϵ", "size", "affine")],
    "Scale": SCALES,
    "Diagonal": SCALES,
    "MaxPool": [("k", "pad", "stride")],
    "MeanPool": [("k", "pad", "stride")],
    "AdaptiveMaxPool": [("out",)],
    "AdaptiveMeanPool": [("out",)],
    "GlobalMaxPool": [()],
    "GlobalMeanPool": [()],
    "Dropout": [("p", "dims", "active", "rng"), ("p", "dims", "active")],
    "AlphaDropout": [("p", "active", "rng"), ("p", "active")],
}
TYPE_OF = {
    "Chain": {"layers": 0},
    "SkipConnection": {"layers": 0, "connection": 1},
    "Parallel": {"connection": 0, "layers": 1},
    "Conv": {"σ": 2, "bias": 4},
    "DepthwiseConv": {"σ": 2, "bias": 4},
    "CrossCor": {"σ": 2, "bias": 4},
    "Dense": {"σ": 0, "bias": 2},
    "BatchNorm": {"λ": 0, "β": 1, "γ": 1, "μ": 3, "σ²": 3},
    "InstanceNorm": {"λ": 0, "β": 1, "γ": 1, "μ": 3, "σ²": 3},
    "GroupNorm": {"λ": 0, "β": 1, "γ": 1, "μ": 3, "σ²": 3},  # of 0.14 and newer nothing stands at 3
    "LayerNorm": {"λ": 0, "diag": 1},
    "Scale": {"σ": 0, "bias": 2},
}

# Functions of Flux and what it brings, by their names there.
ACTIVATIONS = {
    "relu": "relu",
    "relu6": "relu6",
    "leakyrelu": "leaky_relu",
    "elu": "elu",
    "gelu_erf": "gelu",
    "σ": "sigmoid",
    "sigmoid": "sigmoid",
    "sigmoid_fast": "sigmoid",
    "tanh": "tanh",
    "tanh_fast": "tanh",
    "swish": "silu",
    "hardσ": "hardsigmoid",
    "hardsigmoid": "hardsigmoid",
    "hardswish": "hardswish",
    "mish": "mish",
    "selu": "selu",
    "softplus": "softplus",
    "identity": "identity",
}
TANH_GELU = ("gelu", "gelu_tanh")  # NNlib's gelu is the approximation by tanh
MODULES = ("NNlib", "Flux", "MLUtils", "Base", "Statistics")
JOINS = {"+": "sum", "*": "scale", "vcat": "vectors", "cat_channels": "concat"}
IDENTITY = Struct(JuliaType("Base.#identity"))
FLATTENING = {"reshape", "flatten", "vec", "dropdims"}


@dataclass
class FluxModel:
    """A model as it was read from a file.

    layers: its chain. One of which only its place is known is of the kind UNKNOWN; BLOCK is one whose branches are known,
    and not how they are joined. notes: what is computed otherwise or rounded. whole: whether it is a chain, and no
    state. of_dims: entries that are what they are for an image of so many dimensions alone, 1 or 3, and what they do with
    others. unknown: of each UNKNOWN its place, what it is, and the layer that may stand there, or ""; of each BLOCK whose
    joining function is not known the same, its place ending in JOIN.
    """

    where: str
    layers: list[Entry] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    whole: bool = True
    of_dims: list[tuple[Entry, int, str]] = field(default_factory=list)
    unknown: list[tuple[str, str, str]] = field(default_factory=list)

    def walk(self) -> Iterator[Entry]:
        for entry in self.layers:
            yield from entry.walk()


def model_of(content: Mapping[str, object], where: str, axes: str = WHCN) -> FluxModel:
    """The one model among the values of a file, by their names.

    axes: whether the images that it takes are arrays of (width, height, channels, N), as Flux has them, or of
    (height, width, channels, N), as Julia's image libraries have them. Raises StudyError with a sentence for each layer
    that is not one of Flux's, or that no layer of a spec computes.
    """
    models = _models(content)
    if not models:
        held = ", ".join(f"{plain(name)[:40]} ({_said(value)})" for name, value in list(content.items())[:8])
        raise StudyError(
            f"{where}: this holds no model of Flux, only {held or 'nothing'}; save a chain or its state, such as "
            f'`BSON.@save "model.bson" state=Flux.state(cpu(model))`.'
        )
    if len(models) > 1:
        raise StudyError(
            f"{where}: this holds {len(models)} models of Flux, {', '.join(map(plain, models))}; save the one that you want alone."
        )
    [(name, value)] = models.items()
    return _Reading(where, axes).read(plain(name), value)


def _models(content: Mapping[str, object]) -> dict[str, object]:
    """The models among values and in the dictionaries and tuples of them, by the names that lead to them.

    An optimizer's state, which has the form of a model's, is none.
    """
    found: dict[str, object] = {}
    seen: set[int] = set()
    waiting = [(name, value, 0) for name, value in content.items()]
    while waiting:
        name, value, depth = waiting.pop()
        if id(value) in seen:
            continue
        seen.add(id(value))
        if _is_chain(value) or _is_state(value):
            if not _is_of_optimizer(value):
                found[name] = value
        elif depth < DEEPEST_MODEL and isinstance(value, dict):
            waiting += [(f"{name}.{key}", part, depth + 1) for key, part in value.items()]
        elif depth < DEEPEST_MODEL and isinstance(value, (tuple, list)):
            waiting += [(f"{name}[{number}]", part, depth + 1) for number, part in enumerate(value, start=1)]
    return dict(sorted(found.items()))


def _is_of_optimizer(value: object) -> bool:
    """Whether a tree is what `Flux.setup` makes of a model: it has a `Leaf` for each array of weights."""
    waiting, seen = [value], set()
    while waiting:
        part = waiting.pop()
        if isinstance(part, Struct):
            return part.type.own_name == "Leaf"
        if isinstance(part, (tuple, list, dict)) and id(part) not in seen:
            seen.add(id(part))
            waiting += part.values() if isinstance(part, dict) else part
    return False


def _is_chain(value: object) -> bool:
    return isinstance(value, Struct) and value.type.own_name in FIELDS and value.type.module == "Flux"


def _is_state(value: object) -> bool:
    return isinstance(value, Named) and isinstance(value.get("layers"), (tuple, Named))


def _said(value: object) -> str:
    """What a value is, for a message."""
    if isinstance(value, Struct):
        name = value.type.own_name if value.type.is_function else value.type.name
        return f"a {plain(name.removeprefix('Main.'))[:60]}"
    return {Named: "a named tuple", dict: "a dictionary", np.ndarray: "an array"}.get(
        type(value), type(value).__name__
    )


class _Unsupported(Exception):
    """Why a layer cannot be carried over, as half a sentence."""


class _Reading:
    def __init__(self, where: str, axes: str):
        self.axes = axes
        self.model = FluxModel(where)
        self.problems: list[str] = []
        self.count = 0

    def read(self, name: str, value: object) -> FluxModel:
        self.model.whole = isinstance(value, Struct)
        self.model.layers = self.layer(value, name)
        if self.problems:
            raise StudyError(*(f"{self.model.where}: {problem}" for problem in self.problems))
        return self.model

    def layer(self, value: object, place: str) -> list[Entry]:
        """The layers that a value of Flux is: none for the identity, several for a chain."""
        self.count += 1
        if self.count > MOST_LAYERS:
            raise Misfit(f"its network has more than {MOST_LAYERS:,} layers")
        try:
            if isinstance(value, JuliaType):
                value = Struct(value)
            if isinstance(value, Named):
                return self.of_state(value, place)
            if isinstance(value, Struct):
                return self.function(value, place) if value.type.is_function else self.of_struct(value, place)
            if value == ():
                return self.unknown(place, "a layer without parameters, of which a state has no name", "")
            raise _Unsupported(f"is {_said(value)}, and no layer")
        except _Unsupported as why:
            self.problems.append(f"{place} {why}.")
            return []

    # Of which type it is -------------------------------------------------------------------

    def of_struct(self, value: Struct, place: str) -> list[Entry]:
        name = value.type.own_name
        if value.type.name.endswith("BroadcastFunction"):
            return self.layer(self.inside(value, 0), place)
        if value.type.module != "Flux" or name not in FIELDS:
            array = " and lies on a GPU; save `cpu(model)`" if name.startswith(("Cu", "ROC", "Mtl")) else ""
            raise _Unsupported(
                f"is a {plain(value.type.name.removeprefix('Main.'))[:80]}{array or ', which no layer of a spec is'}"
            )
        return self.of_fields(name, self.fields(value), place)

    def fields(self, value: Struct) -> dict[str, object]:
        """The fields of a layer by name, those that a JLD2 file leaves out with the function or nothing that they are."""
        name = value.type.own_name
        if isinstance(value.fields, tuple):
            for names in FIELDS[name]:
                found = dict(zip(names, value.fields, strict=False))
                if len(names) == len(value.fields) and not isinstance(found.get("λ"), (int, np.ndarray)):
                    return found
            raise _Unsupported(
                f"is a {name} of {len(value.fields)} fields, which none of Flux 0.12 to 0.16 is"
            )
        found = dict(value.fields)
        for missing, number in TYPE_OF.get(name, {}).items():
            if missing not in found and number < len(value.type.parameters):
                found[missing] = empty(value.type.parameters[number])
        return found

    @staticmethod
    def inside(value: Struct, number: int) -> object:
        """The function inside of a wrapper such as `Broadcast.BroadcastFunction`."""
        if isinstance(value.fields, tuple) and len(value.fields) > number:
            return value.fields[number]
        if len(value.type.parameters) > number:
            return value.type.parameters[number]
        raise _Unsupported(f"is a {plain(value.type.name)} of nothing")

    def of_state(self, state: Named, place: str) -> list[Entry]:
        """A layer by the names of its fields."""
        names = set(state)
        kind = (
            "CrossCor"
            if names == set(CONV[1])
            else "Pool"
            if names == {"k", "pad", "stride"}
            else next(
                (kind for kind, known in FIELDS.items() if names and names in map(set, known)),
                "",
            )
        )
        if kind in ("Chain", "Conv", "CrossCor", "Dense", "BatchNorm", "GroupNorm", "LayerNorm", "Scale"):
            return self.of_fields(kind, state, place)
        if names == {"layers", "connection"}:
            return self.state_block(state, place)
        if any(isinstance(part, np.ndarray) and part.ndim for part in state.values()):
            raise _Unsupported(
                f"has the fields {', '.join(map(plain, state))[:120]}, which no layer of a spec has"
            )
        return self.unknown(place, "a layer without parameters, of which a state has no name", "")

    def state_block(self, state: Named, place: str) -> list[Entry]:
        """A `SkipConnection` or a `Parallel`, whose branches stand one after the other."""
        layers = state["layers"]
        is_chain = isinstance(layers, Named) and "layers" in layers
        branches = [layers] if is_chain or _is_layer(layers) else self.parts(layers, place)
        entries = [
            self.layer(branch, f"{place}.layers{'' if len(branches) == 1 else f'[{number}]'}")
            for number, branch in enumerate(branches, start=1)
        ]
        return [Entry(BLOCK, {"activation": UNKNOWN}, branches=entries, said=place)]

    # Functions -----------------------------------------------------------------------------

    def function(self, value: Struct, place: str) -> list[Entry]:
        name = self.name_of(value)
        if name is None:
            return self.unknown(place, _own_function(value.type), _instead(value.type))
        if name == "identity":
            return []
        if name == "flatten":
            return [Entry("flatten", said=place)]
        if name in ("softmax", "logsoftmax"):
            if name == "logsoftmax":
                self.model.notes.append(
                    f"{place} is logsoftmax, in whose place softmax stands: the labels are the same"
                )
            return [Entry("softmax", said=place)]
        activation, settings = self.activation(value)
        return [Entry(activation, settings, said=place)]

    @staticmethod
    def name_of(value: object) -> str | None:
        """The name of a function of Flux or of what it brings; None of any other."""
        kind = value.type if isinstance(value, Struct) else value
        if not isinstance(kind, JuliaType) or not kind.is_function or kind.is_anonymous:
            return None
        return kind.own_name[1:] if kind.module.split(".")[0] in (*MODULES, "Metalhead") else None

    def activation(self, value: object) -> tuple[str, dict[str, Any]]:
        """The kind and the settings of an activation function."""
        if isinstance(value, Struct) and value.type.own_name == "Fix2" and len(value.fields) == 2:
            function, slope = value.fields if isinstance(value.fields, tuple) else value.fields.values()
            if self.name_of(function) == "leakyrelu" and isinstance(slope, (int, float)):
                return "leaky_relu", {"slope": float(slope)}
        name = self.name_of(value)
        if name in TANH_GELU and "approximate" in KINDS["gelu"].schema:
            return "gelu", {"approximate": "tanh"}
        kind = ACTIVATIONS.get(name or "")
        if kind not in KINDS:
            raise _Unsupported(f"has the activation {_function_said(value)}, which no layer of a spec is")
        return kind, {}

    def activated(
        self, kind: str, settings: dict, parameters: dict, function: object, place: str
    ) -> list[Entry]:
        """A layer with what follows inside of it; an activation with settings of its own is a layer of its own."""
        entry = Entry(kind, settings, parameters, said=place)
        if function == ():  # a state does not say
            settings["activation"] = UNKNOWN
            return [entry]
        kind_of_function = function.type if isinstance(function, Struct) else function
        if (
            isinstance(kind_of_function, JuliaType)
            and kind_of_function.is_function
            and not self.name_of(function)
        ):
            own = self.unknown(
                f"{place}.σ", _own_function(kind_of_function), _instead(kind_of_function, "relu")
            )
            return [entry, *own]
        name, more = self.activation(function)
        if not more:
            settings |= {} if name == "identity" else {"activation": name}
            return [entry]
        return [entry, Entry(name, more, said=place)]

    def unknown(self, place: str, what: str, instead: str) -> list[Entry]:
        self.model.unknown.append((place, what, instead))
        return [Entry(UNKNOWN, said=place)]

    # Each kind of layer --------------------------------------------------------------------

    def of_fields(self, name: str, fields: Mapping[str, Any], place: str) -> list[Entry]:
        match name:
            case "Chain":
                return self.chain(fields["layers"], place)
            case "SkipConnection":
                body = self.layer(fields["layers"], f"{place}.layers")
                return self.block([body, []], fields["connection"], place)
            case "Parallel":
                parts = self.parts(fields["layers"], place)
                places = (f"{place}.layers[{number}]" for number in range(1, len(parts) + 1))
                branches = [self.layer(part, at) for part, at in zip(parts, places, strict=True)]
                return self.block(branches, fields["connection"], place)
            case "Conv" | "CrossCor" | "DepthwiseConv":
                return self.conv(name, fields, place)
            case "Dense":
                parameters = {"weight": self.numbers(fields["weight"], 2, place).T}
                bias = self.bias(fields["bias"], place)
                settings = {"out": len(parameters["weight"]), "bias": bool(bias)}
                return self.activated("dense", settings, parameters | bias, fields["σ"], place)
            case "BatchNorm":
                return self.batchnorm(fields, place)
            case "InstanceNorm" if not isinstance(fields.get("μ"), np.ndarray):
                return self.groupnorm(fields, fields["chs"], place)
            case "InstanceNorm":  # with the mean and variance that training left
                return self.batchnorm(fields, place)
            case "GroupNorm":
                return self.groupnorm(fields, fields["G"], place)
            case "LayerNorm":
                return self.layernorm(fields, place)
            case "Scale" | "Diagonal":
                return self.scale(fields, place)
            case "MaxPool" | "MeanPool":
                window: dict[str, Any] = {
                    "kernel": self.pair(fields["k"]),
                    "stride": self.pair(fields["stride"]),
                    "padding": self.padding(fields["pad"]),
                }
                return [Entry(name.lower(), window, said=place)]
            case "AdaptiveMaxPool" | "AdaptiveMeanPool":
                pool, size = name.removeprefix("Adaptive").lower(), self.pair(fields["out"])
                if size == (1, 1):
                    return [Entry(f"global{pool}", said=place)]
                if "size" not in KINDS[pool].schema:
                    raise _Unsupported(f"pools to {size[0]}×{size[1]}, which no layer of a spec does")
                return [Entry(pool, {"size": size}, said=place)]
            case "GlobalMaxPool" | "GlobalMeanPool":
                return [Entry(name.lower(), said=place)]
        return [Entry("dropout", {"p": _share(fields.get("p"))}, said=place)]

    def chain(self, layers: object, place: str) -> list[Entry]:
        found = []
        names = layers if isinstance(layers, Named) else range(1, len(self.parts(layers, place)) + 1)
        for name, part in zip(names, self.parts(layers, place), strict=True):
            found += self.layer(part, f"{place}[{name if isinstance(name, int) else f':{plain(name)}'}]")
        for entry, after in pairwise(found):
            if entry.kind == UNKNOWN and after.kind == "dense":  # what else stands before one?
                self.model.unknown = [
                    (at, what, instead or "flatten") if at == entry.said else (at, what, instead)
                    for at, what, instead in self.model.unknown
                ]
        return found

    @staticmethod
    def parts(layers: object, place: str) -> Sequence[object]:
        if isinstance(layers, Named):
            return list(layers.values())
        if not isinstance(layers, (tuple, list)):
            raise Misfit(f"the layers of {place} are no list")
        return layers

    def block(self, branches: list[list[Entry]], connection: object, place: str) -> list[Entry]:
        kind = connection.type if isinstance(connection, Struct) else connection
        if isinstance(kind, JuliaType) and kind.name.endswith("BroadcastFunction"):  # .+
            connection = self.inside(connection if isinstance(connection, Struct) else Struct(kind), 0)
        join = JOINS.get(self.name_of(connection) or "")
        if join == "scale" and (len(branches) != 2 or all(branches)):
            join = None
        if join is None:
            what, instead = _joining(connection)
            self.model.unknown.append((place + JOIN, what, instead))
            return [Entry(BLOCK, {"activation": UNKNOWN}, branches=branches, said=place)]
        entries = joined(branches, "concat" if join == "vectors" else join, "", place)
        if join == "vectors":
            self.model.of_dims.append(
                (entries[0], 1, "joins maps by vcat, which sets them side by side along their width")
            )
        return entries

    def conv(self, name: str, fields: Mapping[str, Any], place: str) -> list[Entry]:
        weight = self.numbers(fields["weight"], None, place)
        if weight.ndim != 4:
            raise _Unsupported(f"convolves over {weight.ndim - 2} dimensions, and images have 2")
        groups = fields.get("groups", 1)
        if name == "DepthwiseConv":  # (kW, kH, multiplier, inputs), which is one group for each input
            groups = weight.shape[0]
            weight = weight.reshape(-1, 1, *weight.shape[2:])
        if self.axes == HWCN:
            weight = weight.swapaxes(2, 3)
        if name != "CrossCor":  # PyTorch correlates and Flux convolves
            weight = weight[:, :, ::-1, ::-1]
        bias = self.bias(fields["bias"], place)
        settings = {
            "out": weight.shape[0],
            "kernel": weight.shape[2:],
            "stride": self.pair(fields["stride"]),
            "padding": self.padding(fields["pad"]),
            "dilation": self.pair(fields["dilation"]),
            "groups": groups if isinstance(groups, int) else 1,
            "bias": bool(bias),
        }
        return self.activated("conv", settings, {"weight": weight} | bias, fields["σ"], place)

    def batchnorm(self, fields: Mapping[str, Any], place: str) -> list[Entry]:
        mean, variance = fields["μ"], fields["σ²"]
        if not isinstance(mean, np.ndarray) or not isinstance(variance, np.ndarray):
            other = "" if self.model.whole else "; if it is an InstanceNorm, save the model itself"
            raise _Unsupported(
                f"has no mean and variance (track_stats=false), so what it gives depends on the batch{other}"
            )
        parameters = self.affine(fields, place)
        settings = {"eps": self.shortest(fields["ϵ"]), "affine": bool(parameters)}
        parameters |= {
            "running_mean": self.numbers(mean, 1, place),
            "running_var": self.numbers(variance, 1, place),
        }
        return self.activated("batchnorm", settings, parameters, fields["λ"], place)

    def affine(self, fields: Mapping[str, Any], place: str) -> dict[str, np.ndarray]:
        """γ and β of a normalization, if it has them."""
        both = {"weight": fields["γ"], "bias": fields["β"]}
        if not all(isinstance(value, np.ndarray) for value in both.values()):
            return {}
        return {name: self.numbers(value, 1, place) for name, value in both.items()}

    def groupnorm(self, fields: Mapping[str, Any], groups: object, place: str) -> list[Entry]:
        if isinstance(fields.get("μ"), np.ndarray):
            raise _Unsupported("keeps a mean and variance of groups (track_stats=true), which no layer does")
        if not isinstance(groups, int) or groups < 1:
            raise _Unsupported("has no number of groups")
        parameters = self.affine(fields, place)
        settings = {"groups": groups, "eps": self.shortest(fields["ϵ"]), "affine": bool(parameters)}
        return self.activated("groupnorm", settings, parameters, fields["λ"], place)

    def layernorm(self, fields: Mapping[str, Any], place: str) -> list[Entry]:
        """Over all values of an image, as many as its size has dimensions; ϵ is added to the deviation, not to its square."""
        size = fields["size"]
        if not isinstance(size, tuple) or len(size) not in (1, 3):
            raise _Unsupported(
                f"normalizes over the first dimensions of maps, {_text(size)}, which no layer of a spec does; over all it has "
                f"the size (width, height, channels)"
            )
        parameters = {}
        if fields["affine"] is True:
            diag = fields["diag"]
            if isinstance(diag, Struct) and diag.type.own_name in ("Scale", "Diagonal"):
                diag = self.fields(diag)
            if not isinstance(diag, Mapping):
                raise _Unsupported("has no factors, although it is affine")
            names = ("scale", "bias") if "scale" in diag else ("α", "β")
            parameters = {
                name: self.turned(self.numbers(diag.get(key), len(size), place))
                for name, key in zip(("weight", "bias"), names, strict=True)
            }
        eps = self.shortest(float(np.float32(self.shortest(fields["ϵ"]) ** 2)))
        self.note(
            f"{place} is a LayerNorm, with ϵ as Flux has it from 0.15 on; before, what it gave differed by up to ϵ in "
            f"proportion to the deviation"
        )
        over = "all" if len(size) == 3 else "channels"
        settings = {"over": over, "eps": eps, "affine": bool(parameters)}
        entries = self.activated("layernorm", settings, parameters, fields["λ"], place)
        self.model.of_dims.append((entries[0], len(size), "normalizes over the width of maps alone"))
        return entries

    def turned(self, array: np.ndarray) -> np.ndarray:
        """What stands for each value of an image, as [C, H, W]."""
        return array.swapaxes(-1, -2) if self.axes == HWCN and array.ndim == 3 else array

    def scale(self, fields: Mapping[str, Any], place: str) -> list[Entry]:
        """A factor and a summand for each channel."""
        scale, bias = (fields["scale"], fields["bias"]) if "scale" in fields else (fields["α"], fields["β"])
        weight = self.numbers(scale, None, place)
        if weight.ndim not in (1, 3) or weight.shape[1:] != (1,) * (weight.ndim - 1):
            raise _Unsupported(
                f"has factors for {'×'.join(map(str, weight.shape[::-1]))} values, and a layer of a spec for channels"
            )
        parameters = {"weight": weight.reshape(-1)}
        if isinstance(bias, np.ndarray):
            parameters["bias"] = self.numbers(bias, weight.ndim, place).reshape(-1)
        settings = {"weight": True, "bias": "bias" in parameters}
        entries = self.activated("affine", settings, parameters, fields.get("σ", IDENTITY), place)
        self.model.of_dims.append((entries[0], weight.ndim, "multiplies along the width of maps alone"))
        return entries

    # Their fields --------------------------------------------------------------------------

    def numbers(self, value: object, ndim: int | None, place: str) -> np.ndarray:
        if not isinstance(value, np.ndarray):
            kind = f"a {plain(value.type.name)[:60]}" if isinstance(value, Struct) else _said(value)
            gpu = "; save `cpu(model)`" if "CuArray" in kind or "CuDevice" in kind else ""
            raise _Unsupported(f"has {kind} in place of an array of numbers{gpu}")
        if value.dtype.kind != "f" or (ndim is not None and value.ndim != ndim):
            raise _Unsupported(
                f"has an array of {value.ndim} dimensions of {value.dtype} where weights should be"
            )
        if value.dtype.itemsize > 4:
            self.note(f"{self.model.where} has numbers of 64 bits, which are rounded to 32")
        return value

    def note(self, sentence: str) -> None:
        """Say it once."""
        if sentence not in self.model.notes:
            self.model.notes.append(sentence)

    def bias(self, value: object, place: str) -> dict[str, np.ndarray]:
        """The bias as a parameter; `false`, or `Zeros()` in Flux 0.12, is none."""
        if value is False or value is None or (isinstance(value, Struct) and value.type.own_name == "Zeros"):
            return {}
        return {"bias": self.numbers(value, 1, place)}

    def pair(self, value: object) -> tuple[int, int]:
        """A size along Flux's first two dimensions as (height, width)."""
        if (
            not isinstance(value, tuple)
            or len(value) != 2
            or not all(isinstance(side, int) for side in value)
        ):
            raise _Unsupported("is not of images: its sizes are no pairs of numbers")
        return value if self.axes == HWCN else value[::-1]

    def padding(self, value: object) -> tuple[int, ...]:
        """A padding as (height, width), or as (top, left, bottom, right) where the ends have not the same."""
        if isinstance(value, tuple) and len(value) == 2:
            return self.pair(value)
        if (
            not isinstance(value, tuple)
            or len(value) != 4
            or not all(isinstance(side, int) for side in value)
        ):
            raise _Unsupported("is not of images: its padding is no pair of numbers")
        first, second = value[:2], value[2:]
        (top, bottom), (left, right) = (first, second) if self.axes == HWCN else (second, first)
        if (top, left) == (bottom, right):
            return top, left
        schema = KINDS["conv"].schema["padding"]
        if not any(part.get("maxItems") == 4 for part in schema.get("anyOf", ())):
            raise _Unsupported(
                f"has another padding on one side than on the other, {value}, which no layer of a spec has"
            )
        return top, left, bottom, right

    @staticmethod
    def shortest(value: object) -> float:
        """A number of 32 bits in the fewest decimals that are it."""
        if not isinstance(value, (int, float)) or not value > 0:
            raise _Unsupported("has no ϵ above 0")
        short = float(str(np.float32(value)))
        return short if np.float32(value) == value else float(value)


def _is_layer(value: object) -> bool:
    return isinstance(value, Named) and any(isinstance(part, np.ndarray) for part in value.values())


def _share(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1 else 0.0


def _function_said(value: object) -> str:
    kind = value.type if isinstance(value, Struct) else value
    if not isinstance(kind, JuliaType):
        return "something that is no function"
    if kind.is_anonymous:
        return f"the anonymous function {plain(kind.own_name)[:60]}"
    return plain(kind.own_name.removeprefix("#"))[:60]


def _own_function(kind: JuliaType) -> str:
    """What a function of the user's is, for a message."""
    called = f" that calls {', '.join(map(plain, kind.calls))}" if kind.calls else ""
    written = f", written in {plain(kind.written)}" if kind.written else ""
    own = (
        "an anonymous function"
        if kind.is_anonymous
        else f"the function {plain(kind.own_name[1:])[:60]} of {plain(kind.module or 'Main')[:60]}"
    )
    return f"{own}{called}{written}"


def _instead(kind: JuliaType, default: str = "") -> str:
    """The layers that may stand in the place of a function of the user's, by the names in its code."""
    calls = set(kind.calls) | {kind.own_name.strip("#0123456789")}
    if "mean" in calls:
        return "globalmeanpool flatten" if calls & FLATTENING else "globalmeanpool"
    if calls & FLATTENING:
        return "flatten"
    known = [ACTIVATIONS[name] for name in ACTIVATIONS if name in calls and ACTIVATIONS[name] != "identity"]
    if known:
        return with_number(known[0])
    return "softmax" if "softmax" in calls else default


def number_of(kind: str) -> str:
    """The one setting of an activation that is a number, "" if it has none."""
    settings = [key for key, schema in KINDS[kind].schema.items() if schema.get("type") == "number"]
    return settings[0] if len(settings) == 1 else ""


def with_number(kind: str) -> str:
    """An activation as `instead` has it, with the number that it has if none is said."""
    return f"{kind} {KINDS[kind].defaults[number_of(kind)]:g}" if number_of(kind) else kind


def joined(
    branches: list[list[Entry]], join: str, activation: str | Mapping[str, Any], place: str
) -> list[Entry]:
    """Branches that are joined by `concat`, `sum` or `scale`, and an activation of that, if there is one.

    activation: as in a spec, "" for none. Raises StudyError if a `scale` has not one branch, beside what comes in.
    """
    settings = {"activation": activation} if activation else {}
    if join == "scale":
        if len(branches) != 2 or all(branches):
            raise StudyError(
                f"{place} has {len(branches)} branches, and scale multiplies what comes in by one"
            )
        return [Entry("scale", settings, branches=[branches[0] or branches[1]], said=place)]
    if join == "sum" and len(branches) == 2:
        body, shortcut = branches if branches[0] else branches[::-1]
        if body:
            return [Entry("residual", settings, branches=[body, shortcut], said=place)]
    return [Entry("parallel", {"join": join, **settings}, branches=branches, said=place)]


def _joining(connection: object) -> tuple[str, str]:
    """What joins the branches of a block, for a message, and what may be said instead of it, by the names in its code."""
    kind = connection.type if isinstance(connection, Struct) else connection
    calls = set(kind.calls) if isinstance(kind, JuliaType) else set()
    written = f", written in {plain(kind.written)}" if isinstance(kind, JuliaType) and kind.written else ""
    join = "sum" if "+" in calls else "scale" if "*" in calls else "concat"
    after = [ACTIVATIONS[name] for name in ACTIVATIONS if name in calls and ACTIVATIONS[name] != "identity"]
    what = f"{_function_said(connection)}, which joins branches{written}"
    return what, f"{join} {after[0]}" if after else join


def _text(size: object) -> str:
    return "×".join(map(str, size)) if isinstance(size, tuple) else str(size)[:40]

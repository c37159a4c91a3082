"""All kinds of layer, and what a spec may say of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from promptflux.classifiers.description import Description
from promptflux.classifiers.kind import Block, Kind, Layer, Shape
from promptflux.classifiers.layers.activations import Activation
from promptflux.errors import StudyError
from promptflux.registry import entries

# mypy wants a class that can be made; the instances are what is sought.
KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in entries("promptflux.classifiers.layers", Kind)  # type: ignore[type-abstract]
}
MODULE = {
    "description": "the name of the checkpoint's module with the layer's parameters, or a list of names that it may have",
    "anyOf": [
        {"type": "string", "minLength": 1},
        {"type": "array", "minItems": 1, "items": {"type": "string", "minLength": 1}},
    ],
}
ACTIVATIONS: list[str] = [name for name, kind in KINDS.items() if isinstance(kind, Activation)]


def kind_of(layer: str) -> Kind:
    """The kind of the layer with this name, such as `conv1` or `residual3.conv2`."""
    name = layer.rpartition(".")[2]
    return KINDS[name.rpartition("_")[0] if name.rpartition("_")[0] in KINDS else name.rstrip("0123456789")]


def activation_module(layer: Layer) -> Any:
    """The activation that follows inside of a layer, in PyTorch."""
    return KINDS[layer.activation].module(activation_layer(layer))


def activation_layer(layer: Layer) -> Layer:
    """The activation that follows inside of a layer, as a layer of its own."""
    kind = KINDS[layer.activation]
    return Layer(kind.name, kind.name, kind.settings(layer.activation_settings), layer.shape, layer.shape, {})


def check_layers(description: Description) -> None:
    """Raise StudyError if a layer of a description that was read from a file is not what its kind makes of it."""
    _check_chain(description, description.layers, description.input.shape)


def _check_chain(description: Description, layers: Sequence[Layer], shape: Shape) -> Shape:
    """The shape of what the chain `layers` gives that takes `shape`."""
    for layer in layers:
        if layer.kind not in KINDS:
            raise StudyError(
                f"{description.source}: {layer.name} is of the kind {layer.kind!r}, which this version does not know; "
                f"update it."
            )
        kind = KINDS[layer.kind]
        ends = [_check_chain(description, branch, shape) for branch in layer.branches]
        settings = kind.resolved(layer.settings, shape)
        if (layer.in_shape, layer.shape, dict(layer.parameters)) != (
            shape,
            given_shape(kind, settings, shape, ends),
            kind.parameters(settings, shape),
        ):
            raise StudyError(
                f"{description.source}: the layer {layer.name} does not follow from the one before it."
            )
        shape = layer.shape
    return shape


def given_shape(kind: Kind, settings: Mapping[str, Any], shape: Shape, ends: Sequence[Shape]) -> Shape:
    """What a layer gives that takes `shape`; ends: what the branches of a block give."""
    return (
        kind.joined_shape(settings, shape, ends) if isinstance(kind, Block) else kind.shape(settings, shape)
    )


def layer_schemas() -> dict[str, dict]:
    """The parts `bare` and `layer` of the schema of a classifier spec: a layer by its name alone, and with settings."""
    bare = [name for name, kind in KINDS.items() if not required(kind)]
    with_settings = {name: settings_schema(kind) for name, kind in KINDS.items() if kind.schema}
    return {
        "bare": {"enum": bare},
        "layer": {
            "description": "one layer, such as `maxpool: 2` or `conv: {out: 16, kernel: 3}`, each with its own dash",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": with_settings,
        },
    }


def has_parameters(kind: Kind) -> bool:
    """Whether layers of a kind can have parameters, which a checkpoint may hold under the name of a module."""
    return type(kind).parameters is not Kind.parameters


def activation_schema() -> dict:
    """The schema of what may stand after `activation:`."""
    return {
        "if": {"type": "string"},
        "then": {"enum": ACTIVATIONS},
        "else": {
            "description": "an activation such as relu or {leaky_relu: {slope: 0.1}}",
            "type": "object",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {name: settings_schema(KINDS[name]) for name in ACTIVATIONS if KINDS[name].schema},
        },
    }


def required(kind: Kind) -> list[str]:
    """The settings of a kind that have no default, and must be given if the one that stands alone is not."""
    return [setting for setting in kind.schema if setting not in kind.defaults and setting != kind.alone]


def settings_schema(kind: Kind) -> dict:
    """The schema of what may stand after `{kind}:`."""
    properties = dict(kind.schema) | ({"activation": activation_schema()} if kind.activates else {})
    if has_parameters(kind):
        properties["module"] = MODULE
    mapping: dict = {"additionalProperties": False, "properties": properties}
    if kind.alone:
        only = {"additionalProperties": False, "properties": {kind.alone: {}}}
        mapping["allOf"] = [
            {"if": {"required": [kind.alone]}, "then": only, "else": {"required": required(kind)}}
        ]
    else:
        mapping["required"] = required(kind)
    if kind.shorthand:
        return {"if": {"type": "object"}, "then": mapping, "else": kind.schema[kind.shorthand]}
    hint = "" if required(kind) else f"; for the defaults write `- {kind.name}`"
    return {"description": f"a mapping such as {kind.written}{hint}", "type": "object", **mapping}

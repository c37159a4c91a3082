"""The variants of a study: sets of generator settings, by name or as the product of axes, all made from the same seeds."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

from promptflux.documents import read_yaml
from promptflux.errors import StudyError, shown
from promptflux.files.whole import sha256_of_text
from promptflux.schema import SCHEMAS

MOST_VARIANTS = 1000
LONGEST_VALUE, LONGEST_NAME = 40, 120  # characters in the name of a variant, which is a folder's
NAMED = "variants"  # the axis of `variants`, whose values are the names of sets
OF_A_MODEL = ("revision", "variant", "model_config")  # which another model does not have
SHARED = {
    "seed": "left out, as all variants have the same seeds; images_per_prompt makes more images of each",
    "images_per_prompt": "left out, as all variants have the same number of images (generator.images_per_prompt)",
    "prompts_per_job": "left out, as all variants have the same batches (generator.prompts_per_job)",
}


@dataclass(frozen=True)
class Value:
    """A value of an axis: its title for people, its part of a variant's name, and the settings that it stands for."""

    title: str
    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Axis:
    """An axis of a grid. key: a setting of the generator, or NAMED."""

    key: str
    values: tuple[Value, ...]

    @property
    def title(self) -> str:
        return "variant" if self.key == NAMED else column_of(self.key).replace("_", " ")

    @property
    def numbers(self) -> list[float] | None:
        """Its values, if they are at least two numbers."""
        values = [value.settings.get(self.key) for value in self.values]
        numbers = [float(v) for v in values if isinstance(v, (int, float)) and not isinstance(v, bool)]
        return numbers if len(numbers) == len(values) > 1 else None


@dataclass(frozen=True)
class Variant:
    """A variant.

    name: of its folder; "" in a study without variants. place: its value's number on each axis.
    settings: what it lays over those of `generator`.
    """

    name: str
    place: tuple[int, ...]
    settings: Mapping[str, Any]


@dataclass(frozen=True)
class Grid:
    """The variants of a study by name, in the order of the axes; one without a name, and no axes, if it has none."""

    axes: tuple[Axis, ...]
    variants: Mapping[str, Variant]

    def titles(self, variant: Variant) -> dict[str, str]:
        """The title of each axis, and that of the variant's value on it."""
        return {
            axis.title: axis.values[number].title
            for axis, number in zip(self.axes, variant.place, strict=True)
        }

    @property
    def label_of_axes(self) -> str:
        """The titles of the axes, in the order of a label."""
        return " \u00b7 ".join(axis.title for axis in self.axes)

    def label(self, variant: Variant) -> str:
        """The values of a variant, in short."""
        return " \u00b7 ".join(self.titles(variant).values())


def laid_over(generator: Mapping[str, Any], variant: Variant) -> dict[str, Any]:
    """The settings of the generator with those of a variant, each as a whole. What is of a model goes with it."""
    settings = {**generator, **variant.settings}
    if "model" in variant.settings:
        settings |= {key: variant.settings.get(key) for key in OF_A_MODEL if key in generator}
    return settings


def column_of(key: str) -> str:
    """What the column of a setting is called in tables, where `variant` is that of the study."""
    return "model_variant" if key == "variant" else key


def read_grid(config: Mapping[str, Any]) -> Grid:
    """The variants that a config asks for, as its `variants` and `axes`, or the product of both.

    Raises StudyError with a sentence for each problem; what its schema says of it is not looked at again.
    """
    sets, axes_asked = config.get("variants") or {}, config.get("axes") or {}
    found: list[str] = []
    axes = (
        [Axis(NAMED, tuple(Value(name, name, dict(own or {})) for name, own in sets.items()))] if sets else []
    )
    for name, own in sets.items():
        found += [
            f"config.yaml: {key} is a setting of variants.{name} and an axis; leave it out in one of them."
            for key in own or {}
            if key in axes_asked
        ]
    axes += [
        Axis(key, tuple(Value(title_of(value), name_of(key, value), {key: value}) for value in values))
        for key, values in axes_asked.items()
    ]
    for axis in axes:
        found += _twins(axis)
    count = prod(len(axis.values) for axis in axes)
    if count > MOST_VARIANTS:
        found.append(
            f"config.yaml: variants and axes make {count:,} variants; at most {MOST_VARIANTS:,} are made."
        )
    if found:
        raise StudyError(*found)
    if not axes:
        return Grid((), {"": Variant("", (), {})})
    variants = []
    for place in product(*(range(len(axis.values)) for axis in axes)):
        values = {axis.key: axis.values[number] for axis, number in zip(axes, place, strict=True)}
        settings = {key: value for part in values.values() for key, value in part.settings.items()}
        variants.append(Variant(_joined(values), place, settings))
    return Grid(tuple(axes), {variant.name: variant for variant in variants})


def _joined(values: Mapping[str, Value]) -> str:
    """The name of a variant, which does not depend on the order of the axes."""
    first = [NAMED] if NAMED in values else []
    name = "_".join(values[key].name for key in [*first, *sorted(values.keys() - first)])
    if len(name) > LONGEST_NAME:
        name = f"{name[: LONGEST_NAME - 9]}_{sha256_of_text(name)[:8]}"
    return name


def _twins(axis: Axis) -> Iterable[str]:
    """A sentence for each value of an axis that has the name of one before; capitals do not tell folders apart."""
    before: dict[str, Value] = {}
    where = "variants" if axis.key == NAMED else f"axes.{axis.key}"
    for value in axis.values:
        twin = before.setdefault(value.name.casefold(), value)
        if twin is not value:
            yield (
                f"config.yaml: {where} has {shown(twin.title)} and {shown(value.title)}, "
                f"which are the same or have names that only capitals tell apart."
            )


def title_of(value: Any) -> str:
    """A value of a setting in words: 1.5, 20, ddim, "ddim, eta 0.5"; "default" for null."""
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (int, float)):
        return f"{value:.15g}"
    if isinstance(value, Mapping):
        named = {key: title_of(part) for key, part in value.items()}
        return ", ".join(part if key in ("name", "model") else f"{key} {part}" for key, part in named.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(title_of, value)) or "none"
    return str(value)


def name_of(key: str, value: Any) -> str:
    """A value of a setting as part of a folder's name: `guidance_scale-1.5`, `scheduler-dpm++`.

    What holds other characters than letters, digits and _ . + -, or is long, ends in six digits of
    its SHA-256, so that the name of a value does not depend on the other values.
    """
    title = title_of(value)
    if not (re.fullmatch(r"[A-Za-z0-9_.+-]+", title) and len(title) <= LONGEST_VALUE):
        digest = sha256_of_text(json.dumps(value, sort_keys=True, ensure_ascii=False))[:6]
        title = f"{re.sub(r'[^A-Za-z0-9.+-]+', '_', title).strip('_.-')[: LONGEST_VALUE - 7]}_{digest}"
    return f"{key}-{title}"


def variants_schema() -> dict[str, dict]:
    """The definitions of what `variants` and `axes` may be: the settings of the generator, as it has them."""
    generator = read_yaml(SCHEMAS / "config.schema.yaml", "schema")["properties"]["generator"]["properties"]
    settings = {key: value for key, value in generator.items() if key not in SHARED}
    shared = {key: {"description": reason, "not": {}} for key, reason in SHARED.items()}
    return {
        "variants": {
            "description": "named sets of settings of the generator, such as {weak: {guidance_scale: 1.5}}, or null",
            "type": ["object", "null"],
            "minProperties": 1,
            "propertyNames": {
                "description": "letters, digits, _ and -, beginning with a letter or digit, at most 64 characters",
                "pattern": "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$",
            },
            "additionalProperties": {
                "description": "a mapping such as {guidance_scale: 1.5}",
                "type": ["object", "null"],
                "additionalProperties": False,
                "properties": {**settings, **shared},
            },
        },
        "axes": {
            "description": "lists of values of settings of the generator, such as {guidance_scale: [1.5, 3], steps: [10, 20]}, or null",
            "type": ["object", "null"],
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {
                **{
                    key: {
                        "description": "a list of its values, such as [10, 20]",
                        "type": "array",
                        "minItems": 1,
                        "items": setting,
                    }
                    for key, setting in settings.items()
                },
                **shared,
            },
        },
    }

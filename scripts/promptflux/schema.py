"""What a config, a row of prompts or a classifier spec may hold, and what is wrong with one, as sentences."""

import contextlib
from collections.abc import Mapping
from copy import deepcopy
from functools import cached_property, reduce
from operator import getitem
from pathlib import Path
from typing import Any

import yaml
from jsonschema import Draft202012Validator

from promptflux.errors import shown

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


class Schema:
    """`schemas/{name}.schema.yaml`, with the definitions that code has: its engines, its kinds of layer.

    definitions: what is added under `$defs`.
    """

    def __init__(self, name: str, definitions: Mapping[str, Mapping] | None = None):
        self.name, self.definitions = name, definitions or {}

    @cached_property
    def validator(self) -> Draft202012Validator:
        text = (SCHEMAS / f"{self.name}.schema.yaml").read_text(encoding="utf-8")
        schema = yaml.safe_load(text)
        schema["$defs"] = {**schema.get("$defs", {}), **self.definitions}
        return Draft202012Validator(schema)

    def problems(self, value: Mapping, where: str) -> list[str]:
        """What is wrong with `value`, a sentence each.

        where: what opens each sentence: the file, and the row if there is one.
        """
        errors = sorted(
            self.validator.iter_errors(value), key=lambda error: list(map(str, error.absolute_path))
        )
        return [f"{where}: {_sentence(error)}" for error in errors]

    def typed(self, value: Mapping) -> dict:
        """`value`, with text read as YAML where no text is wanted.

        Snakemake hands on all that lies inside `--config 'generator={steps: 30}'` as text.
        """
        result = deepcopy(dict(value))
        for error in list(self.validator.iter_errors(result)):
            if isinstance(error.instance, str) and error.absolute_path:
                with contextlib.suppress(yaml.YAMLError):
                    read = yaml.safe_load(error.instance)
                    if self.validator.evolve(schema=error.schema).is_valid(read):
                        *way, last = error.absolute_path
                        reduce(getitem, way, result)[last] = read
        return result


def _sentence(error: Any) -> str:
    key = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path
    ).lstrip(".")
    if error.validator == "additionalProperties":
        known = ", ".join(error.schema["properties"])
        unknown = ", ".join(
            sorted(repr(name) for name in set(map(str, error.instance)) - set(error.schema["properties"]))
        )
        inside = f" in {key}" if key else ""
        return f"the key {unknown}{inside} is unknown; the known keys are {known}."
    if error.validator == "required":
        missing = ", ".join(name for name in error.validator_value if name not in error.instance)
        inside = f" in {key}" if key else ""
        return f"{missing} is missing{inside}."
    if error.validator == "enum":
        wanted = f"one of {', '.join(map(str, error.validator_value))}"
    elif error.validator == "uniqueItems":
        wanted = "a list without repetitions"
    else:
        wanted = error.schema.get("description") or error.message
    return f"{key} is {shown(error.instance)}; it must be {wanted}."

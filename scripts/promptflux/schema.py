"""Schema errors as sentences."""

import contextlib
from copy import deepcopy
from functools import cache, reduce
from operator import getitem
from pathlib import Path

import yaml
from jsonschema import Draft202012Validator

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"


@cache
def _validator(schema: str) -> Draft202012Validator:
    text = (SCHEMAS / f"{schema}.schema.yaml").read_text(encoding="utf-8")
    return Draft202012Validator(yaml.safe_load(text))


def problems(value: dict, schema: str, where: str) -> list[str]:
    """What `schemas/{schema}.schema.yaml` finds wrong with `value`, a sentence each.

    `where` opens each sentence: the file, and the row if there is one.
    """
    errors = sorted(
        _validator(schema).iter_errors(value), key=lambda error: list(map(str, error.absolute_path))
    )
    return [f"{where}: {_sentence(error)}" for error in errors]


def typed(value: dict, schema: str) -> dict:
    """`value`, with text read as YAML where the schema wants no text.

    Snakemake hands on all that lies inside `--config 'generate={steps: 30}'` as text.
    """
    value = deepcopy(value)
    for error in list(_validator(schema).iter_errors(value)):
        if isinstance(error.instance, str) and error.absolute_path:
            with contextlib.suppress(yaml.YAMLError):
                read = yaml.safe_load(error.instance)
                if Draft202012Validator(error.schema).is_valid(read):
                    *way, last = error.absolute_path
                    reduce(getitem, way, value)[last] = read
    return value


def shorten(value: object, length: int = 60) -> str:
    """`repr(value)`, cut in its middle if it is longer than `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length // 2]}...{text[-length // 3 :]}"


def _sentence(error) -> str:
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
    return f"{key} is {shorten(error.instance)}; it must be {wanted}."

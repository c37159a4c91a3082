"""What a config, a row of prompts or a classifier spec may hold, and what is wrong with one, as sentences."""

import contextlib
import re
from collections.abc import Iterable, Iterator, Mapping
from copy import deepcopy
from difflib import get_close_matches
from functools import cached_property, reduce
from itertools import islice
from operator import getitem
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.validators import extend

from promptflux.documents import parse_yaml, read_yaml
from promptflux.errors import StudyError, shown

SCHEMAS = Path(__file__).resolve().parents[2] / "schemas"
FLOAT32 = 3.4028234e38  # the largest number that a tensor can hold
MOST_PROBLEMS = 200  # that are looked for in one value; a file of nothing else has enough of them
SCIENTIFIC = re.compile(r"[-+]?[0-9]+[eE][-+]?[0-9]+")  # `1e-5`, which is a text in YAML 1.1


def _number(checker: object, value: object) -> bool:
    """Whether a value is a number to reckon with: no `.nan`, no `.inf`, nothing that becomes one in a tensor."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -FLOAT32 <= value <= FLOAT32


def _pattern(validator: object, pattern: str, value: object, schema: object) -> Iterator[ValidationError]:
    """`pattern` with the `$` of JSON Schema, the very end; Python's also matches before a last line break."""
    if isinstance(value, str) and not re.search(re.sub(r"\$$", r"\\Z", pattern), value):
        yield ValidationError(f"{value!a} does not match {pattern}")


def _unique_items(
    validator: object, unique: bool, value: object, schema: object
) -> Iterator[ValidationError]:
    """`uniqueItems` of a list of texts; what is no text has its own mistake, and jsonschema's way takes its square."""
    texts = [item for item in value if isinstance(item, str)] if isinstance(value, list) else []
    if unique and len(set(texts)) < len(texts):
        yield ValidationError("there are repetitions")


_Validator = extend(
    Draft202012Validator,
    validators={"pattern": _pattern, "uniqueItems": _unique_items},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("number", _number),
)


class Schema:
    """`schemas/{name}.schema.yaml`, with the definitions that code has: its engines, its kinds of layer.

    definitions: what is added under `$defs`.
    """

    def __init__(self, name: str, definitions: Mapping[str, Mapping] | None = None):
        self.name, self.definitions = name, definitions or {}

    @cached_property
    def validator(self) -> Any:
        schema = read_yaml(SCHEMAS / f"{self.name}.schema.yaml", "schema")
        schema["$defs"] = {**schema.get("$defs", {}), **self.definitions}
        return _Validator(schema)

    def problems(self, value: Mapping, where: str) -> list[str]:
        """What is wrong with `value`, a sentence each.

        where: what opens each sentence: the file, and the row if there is one.
        """
        errors = sorted(self._errors(value), key=lambda error: list(map(str, error.absolute_path)))
        return [f"{where}: {_sentence(error)}" for error in errors]

    def wrong(self, value: Mapping) -> set[str]:
        """The keys of `value` that something is wrong with, or that are unknown."""
        found: set[str] = set()
        for error in self._errors(value):
            if error.absolute_path:
                found.add(str(error.absolute_path[0]))
            elif error.validator == "additionalProperties":
                found |= set(map(str, value)) - set(self.validator.schema["properties"])
        return found

    def typed(self, value: Mapping) -> dict:
        """`value` with the types that the schema wants, as far as what it says is clear.

        A whole number may be written as 60.0, and a number as 7: they become 60 and 7.0, so that
        one study has one record. Text is read as YAML where no text is wanted, because
        Snakemake hands on all that lies inside `--config 'generator={steps: 30}'` as text.
        """
        result = deepcopy(dict(value))
        for error in self._errors(result):
            if isinstance(error.instance, str) and error.absolute_path:
                with contextlib.suppress(StudyError):
                    read = _read_text(error.instance)
                    meant = read is not None or error.instance.strip().lower() in ("null", "~")
                    if meant and not isinstance(read, str) and self._is_valid(read, error.schema):
                        *way, last = error.absolute_path
                        reduce(getitem, way, result)[last] = read
        return self._fitted(result, self.validator.schema)

    def _errors(self, value: Mapping) -> list[Any]:
        return list(islice(self.validator.iter_errors(value), MOST_PROBLEMS))

    def _fitted(self, value: Any, schema: Mapping) -> Any:
        """`value` with the whole numbers that `schema` wants as int, and the other numbers as float."""
        if "$ref" in schema:
            return self._fitted(value, self.validator.schema["$defs"][schema["$ref"].split("/")[-1]])
        if "if" in schema:
            chosen = "then" if self._is_valid(value, schema["if"]) else "else"
            return self._fitted(value, schema.get(chosen, {}))
        for option in schema.get("anyOf", ()):
            if self._is_valid(value, option):
                return self._fitted(value, option)
        if isinstance(value, Mapping):
            properties, others = schema.get("properties", {}), schema.get("additionalProperties")
            others = others if isinstance(others, Mapping) else {}
            return {key: self._fitted(item, properties.get(key, others)) for key, item in value.items()}
        if isinstance(value, list) and (items := schema.get("items")):
            return [self._fitted(item, items) for item in value]
        kinds = schema.get("type", ())
        only = {kinds} if isinstance(kinds, str) else set(kinds) - {"null"}  # of several, each stays as it is
        if isinstance(value, float) and only == {"integer"} and value.is_integer():
            return int(value)
        if isinstance(value, int) and only == {"number"} and self._is_valid(value, schema):
            return float(value)
        return value

    def _is_valid(self, value: Any, schema: Mapping) -> bool:
        return self.validator.evolve(schema=schema).is_valid(value)


def _read_text(text: str) -> Any:
    """What a text is as a value; `1e-5`, a text in YAML, is a number where one is wanted."""
    return float(text) if SCIENTIFIC.fullmatch(text) else parse_yaml(text, "")


def _sentence(error: Any) -> str:
    key = "".join(map(_step, error.absolute_path)).lstrip(".")
    if "propertyNames" in error.absolute_schema_path:
        return f"{key} has the name {shown(error.instance)}; it must be {error.schema['description']}."
    if error.validator == "additionalProperties":
        known = error.schema["properties"]
        unknown = sorted(set(map(str, error.instance)) - set(known))
        inside = f" in {key}" if key else ""
        hint = _meant(unknown[0], known) if len(unknown) == 1 else ""
        return f"the key {_some(unknown)}{inside} is unknown{hint}; the known keys are {', '.join(known)}."
    if error.validator == "required":
        missing = ", ".join(name for name in error.validator_value if name not in error.instance)
        inside = f" in {key}" if key else ""
        return f"{missing} is missing{inside}."
    if error.validator == "uniqueItems":
        wanted = "a list without repetitions"
    elif "description" in error.schema:
        wanted = error.schema["description"]
    else:
        wanted = f"one of {', '.join(map(str, error.validator_value))}"
    found = "empty (null)" if error.instance is None else shown(error.instance)
    if error.validator == "enum" and isinstance(error.instance, str):
        found += _meant(error.instance, list(map(str, error.validator_value)))
    return f"{key or 'what it holds'} is {found}; it must be {wanted}."


def _step(part: int | str) -> str:
    """A part of the way to a value, as in `layers[0].conv`."""
    if isinstance(part, int):
        return f"[{part}]"
    return f".{part}" if re.fullmatch(r"[A-Za-z0-9_.-]+", part) else f"[{shown(part)}]"


def _meant(word: str, known: Iterable[str]) -> str:
    near = get_close_matches(word[:60], known, n=1, cutoff=0.7)
    return f" (did you mean {near[0]}?)" if near else ""


def _some(names: list[str], most: int = 5) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(map(shown, names[:most])) + more

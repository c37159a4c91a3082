"""Things of one sort, a file each in a folder of their own: a new file is a new entry, and no list has to be kept."""

import ast
import importlib
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any, TypeVar

Entry = TypeVar("Entry")


def entries(package: str, sort: type[Entry]) -> list[Entry]:
    """The instances of `sort` that the modules of `package` define at their top, in the order of modules and lines."""
    modules = [module(package, name) for name in _module_files(package)]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, sort)]
    return list(dict.fromkeys(found))


def declared(package: str) -> dict[str, dict[str, Any]]:
    """The constants of each module of `package`: module -> NAME -> value, in the order of modules and lines.

    The files are read, not run, so that what they import is not needed: a constant is what is
    assigned at the top to a name in capitals, as a plain value.
    """
    return {name: _constants(path) for name, path in _module_files(package).items()}


def module(package: str, name: str) -> ModuleType:
    """The module `name` of `package`, imported."""
    return importlib.import_module(f"{package}.{name}")


def _module_files(package: str) -> dict[str, Path]:
    """The modules of a package and their files, by name."""
    spec = find_spec(package)
    folders = (spec.submodule_search_locations if spec else None) or []
    files = sorted(path for folder in folders for path in Path(folder).glob("*.py"))
    return {path.stem: path for path in files if path.stem != "__init__"}


def _constants(path: Path) -> dict[str, Any]:
    constants = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        match statement:
            case ast.Assign(targets=[ast.Name(id=name)], value=value) if name.isupper():
                try:
                    constants[name] = ast.literal_eval(value)
                except ValueError:
                    continue  # computed, so nothing that others can read
    return constants

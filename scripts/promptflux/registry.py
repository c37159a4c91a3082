"""Things of one sort, a file each in a folder of their own: a new file is a new entry, and no list has to be kept."""

import importlib
import pkgutil
from typing import TypeVar

Entry = TypeVar("Entry")


def entries(package: str, sort: type[Entry]) -> list[Entry]:
    """The instances of `sort` that the modules of `package` define at their top, in the order of modules and lines."""
    path = importlib.import_module(package).__path__
    names = sorted(module.name for module in pkgutil.iter_modules(path))
    modules = [importlib.import_module(f"{package}.{name}") for name in names]
    found = [value for module in modules for value in vars(module).values() if isinstance(value, sort)]
    return list(dict.fromkeys(found))

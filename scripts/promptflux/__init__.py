"""What the rules and scripts of the study share, a room for each thing; the rooms import one another one way only.

For a notebook: `promptflux.open_study("results")`, and `promptflux.StudyError`, which it raises.
"""

from importlib import import_module
from typing import Any

# Imported when it is asked for, and by name: each job imports this package, and neither waits for what it does
# not need nor has it in the digest of its code.
FOR_NOTEBOOKS = {"open_study": "promptflux.opened.study", "StudyError": "promptflux.errors"}


def __getattr__(name: str) -> Any:
    if name not in FOR_NOTEBOOKS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(FOR_NOTEBOOKS[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *FOR_NOTEBOOKS]

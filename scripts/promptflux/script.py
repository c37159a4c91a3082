"""How Snakemake calls a script: by the names of its rule, as a job whose files are recorded."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from promptflux.files.made import write_record
from promptflux.runtime.job import job


def run(main: Callable[..., Iterable[str] | None], snakemake: Any) -> None:
    """Call the `main` of a script with what its rule says, as a `job`.

    Each parameter of `main` gets the input, output, param or wildcard of its own name, one of
    the mapping `asked` among the params, or `threads`; one that the rule does not have keeps its
    default, and an empty list is None where that is the default. What was made is then recorded:
    the outputs, and the files that `main` returns, which are made but not declared.
    """
    with job(snakemake):
        more = main(**arguments(main, snakemake))
        if request := snakemake.input.get("request"):
            write_record(request, [*snakemake.output, *(more or [])], snakemake.input)


def arguments(main: Callable[..., Any], snakemake: Any) -> dict[str, Any]:
    """What `run` calls `main` with. Raises TypeError if a parameter is in no place of the rule, or in several."""
    places = [dict(part.items()) for part in (snakemake.input, snakemake.output, snakemake.params)]
    places += [dict(snakemake.params.get("asked", {})), dict(snakemake.wildcards.items())]
    places.append({"threads": snakemake.threads})
    found = {}
    for name, parameter in inspect.signature(main).parameters.items():
        values = [place[name] for place in places if name in place]
        if len(values) > 1 or (not values and parameter.default is parameter.empty):
            raise TypeError(f"rule {snakemake.rule}: {name} is in {len(values)} places of it, not in one")
        for value in values:
            found[name] = None if parameter.default is None and value == [] else value
    return found

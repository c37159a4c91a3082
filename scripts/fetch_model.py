"""Fetch a model, LoRA weights or an embedding of the hub into the cache of this machine, once for all jobs."""

import json
from collections.abc import Mapping
from typing import Any

from promptflux.files.whole import whole
from promptflux.generation.hub import fetch
from promptflux.script import run


def main(*, wanted: Mapping[str, Any], fetched: str) -> None:
    """Fetch `wanted`, an entry of `Generator.of_the_hub()`, and write what was fetched as JSON to `fetched`.

    Raises StudyError if it cannot be had.
    """
    found = fetch(wanted)
    with whole(fetched) as path:
        path.write_text(json.dumps(found, indent=1), encoding="utf-8")


if "snakemake" in globals():
    run(main, snakemake)

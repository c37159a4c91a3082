"""What making each image cost. Unlike results, these tables differ from run to run."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from promptflux.files.tables import read_table
from promptflux.files.whole import whole

COLUMNS = ["image", "seconds", "memory_mb"]


@dataclass(frozen=True)
class Cost:
    """Of an image: its share of the seconds of its micro-batch, and the most memory in MB that its job had held by then."""

    seconds: float
    memory: float


def write_costs(path: str | Path, costs: Mapping[str, Cost]) -> None:
    """Write a row for each image."""
    rows = [[image, f"{cost.seconds:.4f}", f"{cost.memory:.1f}"] for image, cost in costs.items()]
    with whole(path) as partial:
        text = "".join("\t".join(cells) + "\n" for cells in [COLUMNS, *rows])
        partial.write_text(text, encoding="utf-8", newline="\n")


def read_costs(path: str | Path) -> dict[str, Cost]:
    """The cost of each image of a table, by its name; none if there is no such table, or it is damaged."""
    try:
        header, *rows = read_table(path)
        return {
            image: Cost(float(seconds), float(memory)) for image, seconds, memory in rows if header == COLUMNS
        }
    except (OSError, ValueError):
        return {}

"""Small classifier specs for the tests."""

from pathlib import Path

import yaml

SMALL = {
    "description": "a small network",
    "input": {"name": "gray12x10", "size": [12, 10], "channels": "gray"},
    "layers": [
        {"conv": {"out": 4, "kernel": 3, "activation": "relu"}},
        {"maxpool": 2},
        {"conv": {"out": 6, "kernel": 3, "padding": 1, "bias": False}},
        {"batchnorm": {"activation": "relu"}},
        {"dropout": 0.5},
        "flatten",
        {"dense": {"out": 8, "activation": "gelu"}},
        {"dense": 3},
        "softmax",
    ],
    "labels": ["forest", "city", "a desert"],
    "weights": {"seed": 1},
}


def write_spec(folder: Path, name: str = "small", **changes) -> Path:
    """Write the spec SMALL with some keys changed to `{folder}/{name}.yaml`."""
    path = Path(folder) / f"{name}.yaml"
    path.write_text(yaml.safe_dump({**SMALL, **changes}, allow_unicode=True), encoding="utf-8")
    return path

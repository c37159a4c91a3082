"""The Julia project: what it asks for, and the manifest against hashes on record. Needs no Julia."""

import re
import tomllib

from support.workflow import GOLDEN, WORKFLOW

RECORD = GOLDEN / "julia_packages.tsv"
PROJECT = tomllib.loads((WORKFLOW / "julia/Project.toml").read_text())
MANIFEST = tomllib.loads((WORKFLOW / "julia/Manifest.toml").read_text())


def entries() -> dict[str, dict]:
    assert all(len(found) == 1 for found in MANIFEST["deps"].values())
    return {name: found[0] for name, found in MANIFEST["deps"].items()}


def test_every_package_is_a_registered_version_with_its_true_hash():
    rows = [line.split("\t") for line in RECORD.read_text().splitlines() if not line.startswith("#")]
    assert rows[0] == ["name", "uuid", "version", "git-tree-sha1"]
    on_record = {row[0]: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}
    found = {
        name: {key: entry[key] for key in ("uuid", "version", "git-tree-sha1")} | {"name": name}
        for name, entry in entries().items()
        if "git-tree-sha1" in entry
    }
    assert found == on_record


def test_nothing_in_the_manifest_is_of_one_machine():
    """No paths, no repositories: what has no hash is part of Julia itself."""
    assert all(not entry.keys() & {"path", "repo-url", "repo-rev"} for entry in entries().values())
    assert MANIFEST["julia_version"].startswith("1.10.")
    uuid = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    assert all(uuid.fullmatch(entry["uuid"]) for entry in entries().values())


def test_the_manifest_has_what_the_project_asks_for_within_its_bounds():
    asked = PROJECT["deps"] | PROJECT["weakdeps"]
    assert set(PROJECT["compat"]) == set(asked) | {"julia"}
    for name, uuid in PROJECT["deps"].items():
        entry = entries()[name]
        assert entry["uuid"] == uuid
        if "version" in entry and "git-tree-sha1" in entry:
            bounds = [bound.strip().split(".") for bound in PROJECT["compat"][name].split(",")]
            version = entry["version"].split("+")[0].split(".")
            assert any(version[: len(bound) - 1] == bound[:-1] for bound in bounds), (name, entry["version"])

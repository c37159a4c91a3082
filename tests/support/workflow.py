"""Where the workflow lies, and what a run of it made."""

from pathlib import Path

from promptflux.files.whole import sha256_of_file

WORKFLOW = Path(__file__).resolve().parents[2]
GOLDEN = WORKFLOW / "tests" / "golden"


def results(folder: Path) -> dict[str, str]:
    """The files of a study that its inputs decide, with the digests of their bytes."""
    files = {
        str(path.relative_to(folder / "results")): path
        for path in (folder / "results").rglob("*")
        if path.is_file()
    }
    return {
        name: sha256_of_file(path)
        for name, path in files.items()
        if not name.startswith(("logs/", "benchmarks/"))
    }

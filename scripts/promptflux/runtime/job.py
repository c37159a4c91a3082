"""How a script meets Snakemake: its log, its progress bars and its errors."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from promptflux.errors import StudyError
from promptflux.runtime.gpu import claim_gpu

Item = TypeVar("Item")


class _Tee:
    """A text stream that writes to the terminal and to the job's log."""

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        self.terminal.write(text)
        self.log.write(text)
        return len(text)

    def flush(self) -> None:
        self.terminal.flush()
        self.log.flush()

    def isatty(self) -> bool:
        return self.terminal.isatty()

    @property
    def encoding(self) -> str:
        return "utf-8"

    def fileno(self) -> int:
        return self.terminal.fileno()


@contextmanager
def job(snakemake: Any) -> Iterator[None]:
    """Run the body of a Snakemake job: `with job(snakemake): main(...)`; scripts call `promptflux.script.run`.

    What is printed to stderr also goes to the job's log file. A `StudyError` ends the job
    with its sentence and exit status 1, without a traceback. A rule with the resource `gpu`
    sees one GPU, or none.
    """
    terminal = sys.stderr
    log_path = snakemake.log[0] if snakemake.log else "/dev/null"
    with open(log_path, "w", encoding="utf-8") as log:
        sys.stderr = _Tee(terminal, log)
        try:
            if (gpu := snakemake.resources.get("gpu")) is not None:
                claim_gpu(gpu)
            yield
        except StudyError as error:
            print(f"error: {error}", file=sys.stderr)
            sys.exit(1)
        finally:
            sys.stderr = terminal


def note(message: str) -> None:
    """Print one line for the person who watches, and for the log."""
    print(message, file=sys.stderr, flush=True)


def progress(items: Iterable[Item], description: str, unit: str, total: int | None = None) -> Iterable[Item]:
    """Iterate with a progress bar on stderr (tqdm), once every two seconds at most."""
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, file=sys.stderr, mininterval=2.0, leave=True)

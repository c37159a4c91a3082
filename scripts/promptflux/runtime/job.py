"""How a script meets Snakemake: its log, its progress bars and its errors."""

import contextlib
import errno
import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO, TypeVar

from promptflux.errors import StudyError, printable
from promptflux.runtime.gpu import claim_gpu

Item = TypeVar("Item")


# What a file system refuses, in words with a way out; any other OSError may be a mistake of ours and keeps its traceback.
REFUSED = {
    errno.ENOSPC: "the disk is full; free some space and run the same command again",
    errno.EDQUOT: "your quota of the disk is used up; free some space and run the same command again",
    errno.EFBIG: "the file is larger than is allowed here; ask for fewer images in a job, or raise the limit",
    errno.EROFS: "the file system is read-only; run in a folder that can be written",
    errno.EACCES: "permission is denied; change the permissions of the file and of the folders it lies in",
    errno.EPERM: "the operation is not permitted; change the permissions of the file and of the folders it lies in",
    errno.ENAMETOOLONG: "the name is longer than the file system takes (255 bytes, of which some are for a suffix); choose a shorter one",
    errno.EIO: "the disk cannot be read or written (an input/output error); look after the disk",
    errno.ESTALE: "the network drive lost the file; run the same command again",
    errno.EMFILE: "too many files are open; raise the limit (ulimit -n)",
    errno.ENFILE: "too many files are open on this machine; end other programs",
}


def refused(error: BaseException) -> str | None:
    """A sentence on a file that the system does not let a job read or write; None for any other error.

    Also of libraries that put the system's number into their text alone, as HDF5 and safetensors do.
    """
    number = error.errno if isinstance(error, OSError) else None
    if number not in REFUSED:
        found = re.search(r"(?:errno = |\[Errno |os error )(\d+)", str(error))
        number = int(found[1]) if found else None
    if number not in REFUSED:
        return None
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    where = (
        printable(os.fsdecode(name)) if isinstance(name, (str, bytes, os.PathLike)) else "a file of the job"
    )
    return f"{where}: {REFUSED[number]}."


class _Tee:
    """A text stream that writes to the terminal and to the job's log.

    What the log cannot take, on a full disk, is on the terminal all the same.
    """

    def __init__(self, terminal: TextIO, log: TextIO) -> None:
        self.terminal, self.log = terminal, log

    def write(self, text: str) -> int:
        self.terminal.write(text)
        with contextlib.suppress(OSError):
            self.log.write(text)
        return len(text)

    def flush(self) -> None:
        self.terminal.flush()
        with contextlib.suppress(OSError):
            self.log.flush()

    def close_log(self) -> None:
        with contextlib.suppress(OSError):
            self.log.close()

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

    What is printed to stderr also goes to the job's log file. A `StudyError`, and what the file
    system refuses, ends the job with a sentence and exit status 1, without a traceback. A rule with
    the resource `gpu` sees one GPU, or none.
    """
    terminal = sys.stderr
    log_path = snakemake.log[0] if snakemake.log else os.devnull
    try:
        log = open(log_path, "w", encoding="utf-8")  # noqa: SIM115, closed below
    except OSError as error:
        if (sentence := refused(error)) is None:
            raise
        print(f"error: {sentence}", file=terminal)
        sys.exit(1)
    sys.stderr = tee = _Tee(terminal, log)
    try:
        if (gpu := snakemake.resources.get("gpu")) is not None:
            claim_gpu(gpu)
        yield
    except StudyError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except Exception as error:
        if (sentence := refused(error)) is None:
            raise
        print(f"error: {sentence}", file=sys.stderr)
        sys.exit(1)
    finally:
        sys.stderr = terminal
        tee.close_log()


def note(message: str) -> None:
    """Print one line for the person who watches, and for the log."""
    print(message, file=sys.stderr, flush=True)


def progress(items: Iterable[Item], description: str, unit: str, total: int | None = None) -> Iterable[Item]:
    """Iterate with a progress bar on stderr (tqdm), once every two seconds at most."""
    from tqdm import tqdm

    return tqdm(items, desc=description, unit=unit, total=total, file=sys.stderr, mininterval=2.0, leave=True)

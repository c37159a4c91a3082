"""The one exception that reaches a user as a sentence instead of a traceback."""

from collections.abc import Sequence


class StudyError(Exception):
    """What the user asked for cannot be done.

    The message is written for the person at the keyboard: which file, which row or key,
    what was found, what would be right. Several problems found together are passed as
    several arguments and shown a line each, the first `MOST_SHOWN` of them.
    """

    MOST_SHOWN = 50

    def __str__(self) -> str:
        problems = list(dict.fromkeys(map(str, self.args)))
        more = len(problems) - self.MOST_SHOWN
        return "\n".join(
            problems[: self.MOST_SHOWN] + ([f"... and {more:,} more problems."] if more > 0 else [])
        )


def printable(path: object) -> str:
    """A path for a message: quoted, with line breaks, direction marks and the like escaped."""
    text = str(path)
    return repr(text) if text.isprintable() else ascii(text)


def plain(text: object) -> str:
    """A path or a name from a file for a message: as it stands, but what a terminal would act on is escaped."""
    text = str(text)
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def listed(items: Sequence[object], most: int = 8) -> str:
    """Names from a file for a message: the first `most` of them, each `plain` and cut, and how many more there are."""
    shown = [plain(item)[:120] for item in items[:most]]
    more = f", and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(shown) + more or "nothing more"


def reason(error: BaseException, length: int = 160) -> str:
    """What a library says of a file, in one line for a message, of at most `length` characters."""
    text = plain(" ".join(str(error).split())).rstrip(".") or type(error).__name__
    return text if len(text) <= length else f"{text[:length]}..."


def shown(value: object, length: int = 60) -> str:
    """`repr(value)`, cut in its middle if it is longer than `length` characters."""
    try:
        text = repr(value)
    except ValueError:  # Python writes no whole number of more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= length else f"{text[: length // 2]}...{text[-length // 3 :]}"

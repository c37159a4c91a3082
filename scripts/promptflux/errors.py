"""The one exception that reaches a user as a sentence instead of a traceback."""


class StudyError(Exception):
    """What the user asked for cannot be done.

    The message is written for the person at the keyboard: which file, which row or key,
    what was found, what would be right. Several problems found together are passed as
    several arguments and shown a line each.
    """

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.args)


def printable(path: object) -> str:
    """A path for a message: quoted, with line breaks, direction marks and the like escaped."""
    text = str(path)
    return repr(text) if text.isprintable() else ascii(text)


def shown(value: object, length: int = 60) -> str:
    """`repr(value)`, cut in its middle if it is longer than `length` characters."""
    text = repr(value)
    return text if len(text) <= length else f"{text[: length // 2]}...{text[-length // 3 :]}"

"""The one exception that reaches a user as a sentence instead of a traceback."""


class StudyError(Exception):
    """What the user asked for cannot be done.

    The message is written for the person at the keyboard: which file, which row or key,
    what was found, what would be right. Several problems found together are passed as
    several arguments and shown a line each.
    """

    def __str__(self) -> str:
        return "\n".join(str(problem) for problem in self.args)

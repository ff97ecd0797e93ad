"""Every exception that ffmem raises on purpose.

    FfmemError
    |-- InputError    the user can mend it: a wrong name, option, file or cell id
    |-- StoreError    an index on disk is missing, damaged, in use, or of another format
    `-- ModelError    a model does not do what its family promises, or computes NaN

A bug stays a plain exception.  Every message has three parts: what we got and where; what was expected; what to do,
as a command or a call.
"""


class FfmemError(Exception):
    """Base of all of them.

    Args:
        got: what was found, and where.
        expected: what would have been right; finite choices are listed, limits come with their number.
        mend: what to do, as a command or a call.
    """

    def __init__(self, got: str, expected: str, mend: str) -> None:
        self.got, self.expected, self.mend = got, expected, mend
        super().__init__(" ".join(_sentence(part) for part in (got, expected, mend)))

    def __reduce__(self) -> tuple[type, tuple[str, str, str]]:
        # Exceptions cross process borders by pickle, which would otherwise call __init__ with the joined message.
        return type(self), (self.got, self.expected, self.mend)


class InputError(FfmemError):
    """The user can mend it: a wrong name, option, file or cell id."""


class StoreError(FfmemError):
    """An index on disk is missing, damaged, in use, or of another format."""


class ModelError(FfmemError):
    """A model does not do what its family promises, or computes NaN."""


def _sentence(part: str) -> str:
    part = part.strip()
    return part if part.endswith((".", "!", "?", ":")) else part + "."

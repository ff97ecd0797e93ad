"""Who asks: the visitor of the request that is being answered, wherever it is looked at."""

import hashlib
import re
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Literal, get_args

from ffmem.errors import InputError

Role = Literal["read", "write"]
ROLES: tuple[Role, ...] = get_args(Role)
MAX_NAME = 60
_PLAIN = re.compile(r"[a-z][a-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Visitor:
    """Somebody who has logged in."""

    name: str
    role: Role

    @property
    def annotator(self) -> str:
        """The name as part of a file's name: itself where it can be one, else a form of it that no other name has."""
        if _PLAIN.fullmatch(self.name):
            return self.name
        plain = re.sub(r"[^a-z0-9_-]+", "-", self.name.lower()).strip("-_")
        return f"u-{plain[:25]}-{hashlib.sha256(self.name.encode()).hexdigest()[:8]}"


VISITOR: ContextVar[Visitor | None] = ContextVar("visitor", default=None)
"""Set for each request by `Access`; None where nobody has to log in."""


def may_write() -> bool:
    """Whether the one who asks may change anything; so may everybody where nobody has to log in."""
    visitor = VISITOR.get()
    return visitor is None or visitor.role == "write"


def author_of(typed: str) -> str:
    """Who says something: the one who has logged in, whatever was typed; elsewhere what was typed."""
    visitor = VISITOR.get()
    return typed if visitor is None else visitor.name


def is_own(annotator: str, shared: str) -> bool:
    """Whether the one who asks may annotate under a name: their own, that under which all settle, or any without a login."""
    visitor = VISITOR.get()
    return visitor is None or annotator in (visitor.annotator, shared)


def check_annotator(name: str, shared: str) -> None:
    """Refuse that one who has logged in annotates under another's name.

    Args:
        name: the annotator under whose name something is to be kept.
        shared: the name under which everybody settles differences.

    Raises:
        InputError: it is another's.
    """
    visitor = VISITOR.get()
    if visitor is not None and not is_own(name, shared):
        raise InputError(
            f"you are logged in as {visitor.name}, and this is the page of annotator {name[:40]!r}",
            f"Expected your own annotations: those of {visitor.annotator}",
            "Begin at /annotate",
        )

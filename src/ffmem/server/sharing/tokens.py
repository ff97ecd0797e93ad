"""Tokens that let visitors in: each has a role and the name of who holds it."""

import hashlib
import re
from collections.abc import Iterable
from hmac import compare_digest
from pathlib import Path

from ffmem.errors import InputError
from ffmem.server.sharing.visitors import ROLES, Visitor

MIN_TOKEN = 20
"""Characters of a token, so that none can be guessed."""
MAX_TOKEN = 500
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_NEW = "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
_EXPECTED = (
    "Expected lines of ROLE NAME TOKEN, where ROLE is read or write, such as: write ann 0W-r...; # begins a comment"
)


class Tokens:
    """Tokens, of which only hashes are kept.

    Args:
        text: a line for each: role, name, token.
        where: what the text is, for messages, which never show a token.

    Raises:
        InputError: a line is none, or a token is too short or stands there twice.
    """

    def __init__(self, text: str, where: str) -> None:
        self._visitors: dict[bytes, Visitor] = {}
        for number, line in enumerate(text.splitlines(), 1):
            parts = line.split()
            if parts and not parts[0].startswith("#"):
                self._add(parts, f"{where}, line {number}")
        if not self._visitors:
            raise InputError(f"{where} has no token", _EXPECTED, f"Make a token: {_NEW}")

    def _add(self, parts: list[str], where: str) -> None:
        if len(parts) != 3 or parts[0] not in ROLES or not _NAME.fullmatch(parts[1]):
            raise InputError(f"{where} is not understood", _EXPECTED, "Correct the line")
        role, name, token = parts[0], parts[1], parts[2]
        if not MIN_TOKEN <= len(token) <= MAX_TOKEN or not token.isascii():
            raise InputError(
                f"{where} has a token of {len(token)} characters",
                f"Expected {MIN_TOKEN} to {MAX_TOKEN} ASCII characters, so that it cannot be guessed",
                f"Make one: {_NEW}",
            )
        if _hash(token) in self._visitors:
            raise InputError(
                f"{where} has the token of an earlier line", "Expected a token for each", "Make another one"
            )
        self._visitors[_hash(token)] = Visitor(name, role)

    def find(self, token: str) -> Visitor | None:
        """Whose token it is; every hash is compared, in constant time."""
        asked, found = _hash(token), None
        for known, visitor in self._visitors.items():
            if compare_digest(known, asked):
                found = visitor
        return found

    @property
    def visitors(self) -> Iterable[Visitor]:
        """Who may come in."""
        return self._visitors.values()


def read_tokens(path: Path) -> Tokens:
    """Tokens of a file that nobody but its owner and group can read.

    Raises:
        InputError: it cannot be read, others can read it, or it holds no tokens.
    """
    try:
        if path.stat().st_mode & 0o007:
            raise InputError(
                f"{path} can be read by everybody on this machine",
                "Expected a file for its owner alone",
                f"chmod 600 {path}",
            )
        return Tokens(path.read_text("utf-8"), str(path))
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise InputError(f"{path} cannot be read: {why}", _EXPECTED, "Name a file of tokens") from error


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()

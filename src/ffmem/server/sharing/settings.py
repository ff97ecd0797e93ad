"""Who else may use an explorer: decided, and refused where it would be open to everybody."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path

from ffmem.errors import InputError
from ffmem.server.safety import LOOPBACK
from ffmem.server.sharing.tokens import Tokens, read_tokens

TOKEN_VARIABLE = "FFMEM_TOKEN"
USER_HEADER = "X-Forwarded-User"
_HOW = "docs/how-to/share-an-explorer.md tells how"
_ORIGIN = re.compile(r"https?://(\[[0-9a-f:.]+\]|[a-z0-9.-]+)(:[0-9]{1,5})?")


@dataclass(frozen=True)
class SharingOptions:
    """What a user may choose about other visitors."""

    token_file: str | None = None
    """A file with a line for each who may come in: role (read, write), name, token; or set FFMEM_TOKEN to such lines."""
    behind_proxy: str | None = None
    """The address of a reverse proxy that passes requests on: its word on the visitor's address and on TLS is taken, and
    without tokens that on who the visitor is."""
    user_header: str | None = None
    """The header in which the proxy says who the visitor is, by default X-Forwarded-User."""
    writable: bool = False
    """Let visitors who may write annotate, name and collect; a shared explorer is read-only without."""
    embed_in: str | None = None
    """Origins whose pages may show bare pages of this explorer (with ?embed=1) in a frame; commas between."""
    embed_public: bool = False
    """Show these bare pages to everybody, without logging in."""


@dataclass(frozen=True)
class Sharing:
    """Who is let in, and who may show pages in a frame. As it is made without arguments: only this machine."""

    tokens: Tokens | None = None
    proxy: str | None = None
    user_header: str | None = None
    """Lower-case; None where tokens say who somebody is."""
    embed_in: tuple[str, ...] = ()
    embed_public: bool = False

    @property
    def needs_login(self) -> bool:
        """Whether visitors must say who they are."""
        return self.tokens is not None or self.user_header is not None


def decide(
    options: SharingOptions, host: str, allow_host: str | None, environment: Mapping[str, str] = os.environ
) -> Sharing:
    """Who is let in.

    Args:
        options: what was chosen.
        host: the address that is listened on.
        allow_host: a further name under which the explorer is asked.
        environment: may hold the tokens.

    Raises:
        InputError: everybody who reaches the address would be let in, or options do not fit together.
    """
    tokens = _tokens(options, environment)
    if options.user_header is not None and (options.behind_proxy is None or tokens is not None):
        raise InputError(
            "--user-header is given " + ("with tokens" if tokens else "without --behind-proxy"),
            "Expected either tokens, or a proxy that says who visitors are",
            "Leave --user-header out" if tokens else "Name the proxy: --behind-proxy 127.0.0.1",
        )
    header = options.user_header or USER_HEADER
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,60}", header):
        raise InputError(
            f"--user-header is {header[:80]!r}", "Expected the name of a header", f"Write --user-header {USER_HEADER}"
        )
    proxy = None if options.behind_proxy is None else _address(options.behind_proxy)
    shared = [name for name in (host, allow_host) if name is not None and name not in LOOPBACK]
    if shared and tokens is None and proxy is None:
        raise InputError(
            f"the explorer would be open to everybody who reaches {shared[0]}",
            f"Expected tokens (--token-file FILE, or {TOKEN_VARIABLE}), or a proxy that knows its visitors "
            "(--behind-proxy ADDRESS)",
            _HOW,
        )
    origins = _origins(options.embed_in)
    if options.embed_public and not origins:
        raise InputError(
            "--embed-public is given without --embed-in",
            "Expected the origins whose pages may show those of this explorer",
            "Name them: --embed-in https://example.org",
        )
    asks_proxy = proxy is not None and tokens is None
    return Sharing(tokens, proxy, header.lower() if asks_proxy else None, origins, options.embed_public)


def is_read_only(options: SharingOptions, sharing: Sharing, read_only: bool) -> bool:
    """Whether nobody may write: as was said, and where others come in unless it was said that they may.

    Raises:
        InputError: both was said.
    """
    if read_only and options.writable:
        raise InputError("--read-only and --writable are both given", "Expected one of them", "Leave one out")
    return read_only or (sharing.needs_login and not options.writable)


def _tokens(options: SharingOptions, environment: Mapping[str, str]) -> Tokens | None:
    text = environment.get(TOKEN_VARIABLE, "")
    if options.token_file is not None:
        return read_tokens(Path(options.token_file))
    return Tokens(text, TOKEN_VARIABLE) if text.strip() else None


def _address(text: str) -> str:
    try:
        return str(ip_address(text))
    except ValueError as error:
        raise InputError(
            f"--behind-proxy is {text[:80]!r}",
            "Expected the address from which the proxy asks, such as 127.0.0.1",
            "Write --behind-proxy 127.0.0.1",
        ) from error


def _origins(text: str | None) -> tuple[str, ...]:
    if text is None:
        return ()
    origins = tuple(one.strip().lower() for one in text.split(",") if one.strip())
    wrong = [one for one in origins if not _ORIGIN.fullmatch(one)]
    if wrong or not origins:
        raise InputError(
            f"--embed-in is {text[:100]!r}",
            "Expected origins: https:// and a name, without a path; commas between",
            "Write --embed-in https://example.org",
        )
    return origins

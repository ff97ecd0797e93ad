"""Where a server is, whether that is this machine, and the key to it, which is never written anywhere."""

import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

from ffmem.errors import InputError

KEY_VARIABLE = "FFMEM_API_KEY"
"""Of the environment: the key to any server."""
OPENAI_KEY_VARIABLE = "OPENAI_API_KEY"
"""Of the environment: used for OpenAI's own address alone, so that the key to one company never reaches another."""
OPENAI_HOST = "api.openai.com"


@dataclass(frozen=True)
class Address:
    """Where a server is."""

    url: str
    """Without a slash at its end; what is added to it is `/models` or `/chat/completions`."""
    host: str
    """Its name or number, in small letters."""
    local: bool
    """Whether it is this machine: `localhost`, or a number of the loopback."""
    secure: bool
    """Whether what is sent is encrypted."""


@dataclass(frozen=True)
class Key:
    """What a server asks for to know who calls: neither printed nor stored."""

    secret: str = field(repr=False)
    variable: str
    """Of the environment, where it was read."""

    def hidden_in(self, text: str) -> str:
        """A text with the key's place taken by stars, should the text repeat it."""
        return text.replace(self.secret, "***")


def parse_address(text: str) -> Address:
    """The address of a server as somebody typed it.

    Raises:
        InputError: it is none, or has something in it that may be secret.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise _no_address(f"{_without_secrets(text)!r} is no address of a server: {error}") from error
    _check_parts(parts, host, text)
    shown = f"[{host}]" if ":" in host else host
    url = f"{parts.scheme.lower()}://{shown}{f':{port}' if port is not None else ''}{parts.path.rstrip('/')}"
    return Address(url, host, _is_local(host), parts.scheme.lower() == "https")


def read_key(address: Address, variable: str | None = None, environment: Mapping[str, str] = os.environ) -> Key | None:
    """The key to a server from the environment, or None where there is none.

    Args:
        address: where the server is.
        variable: its name; None: FFMEM_API_KEY, or for OpenAI's own address OPENAI_API_KEY.
        environment: of this process.

    Raises:
        InputError: the variable that was named is not set, or what stands there cannot be a key.
    """
    names = [variable] if variable else [KEY_VARIABLE, *[OPENAI_KEY_VARIABLE][: address.host == OPENAI_HOST]]
    for name in names:
        secret = environment.get(name, "").strip()
        if secret and not (secret.isascii() and secret.isprintable() and " " not in secret):
            raise InputError(
                f"the environment variable {name} has spaces or special characters in it",
                "Expected a key, which is one word of letters, digits and signs",
                f"Set it anew: export {name}=...",
            )
        if secret:
            return Key(secret, name)
    if variable:
        raise InputError(
            f"the environment variable {variable} is not set",
            f"Expected the key to {address.host} in it",
            f"Set it (export {variable}=...), or leave --key-variable away if the server asks for no key",
        )
    return None


def check_may_send(address: Address, key: Key | None, send_text: bool, what: str) -> None:
    """Refuse to send where it would be unsafe, or where nobody has said that text may leave this machine.

    Args:
        address: where to.
        key: that would go with it.
        send_text: whether the user has said that it may.
        what: what would be sent, as a noun with a number: "22 pieces of the corpus' text for each of 320 cells".

    Raises:
        InputError: it may not be sent.
    """
    if address.local:
        return
    if key is not None and not address.secure:
        raise InputError(
            f"{address.url} is not encrypted, and the key in {key.variable} would be sent there for all to read",
            "Expected https:// for a server that is not on this machine",
            f"Write https://, or remove {key.variable} from the environment if the server asks for no key",
        )
    if not send_text:
        plainly = "" if address.secure else ", unencrypted"
        raise InputError(
            f"{address.host} is another machine: {what} would be sent there{plainly}",
            "Expected a server on this machine (127.0.0.1, localhost), or your word that the text may leave it",
            "Add --send-text if it may; --plan counts it first and sends nothing",
        )


def _check_parts(parts: SplitResult, host: str, text: str) -> None:
    if parts.username is not None or parts.password is not None:
        raise _no_address(f"the address of {host or 'the server'} has a user name or password in it", KEY_VARIABLE)
    if parts.query or parts.fragment:
        raise _no_address(f"the address of {host or 'the server'} has a part after ? or #", KEY_VARIABLE)
    if parts.scheme.lower() not in ("http", "https") or not host:
        raise _no_address(f"{_without_secrets(text)!r} is no address of a server")
    if not (text.isascii() and text.strip().isprintable() and " " not in text.strip()):
        raise _no_address(f"{_without_secrets(text)!r} has spaces or special characters in it")


def _no_address(got: str, variable: str = "") -> InputError:
    expected = "Expected http://HOST:PORT/v1 or https://HOST/v1"
    return InputError(
        got,
        f"{expected}, and keys in the environment only" if variable else expected,
        f"Write the address alone, and put the key into the environment: export {variable}=..."
        if variable
        else "Write it so: --server http://127.0.0.1:8080/v1",
    )


def _without_secrets(text: str) -> str:
    """A text that may be an address, without what stands before @ or after ? in it."""
    before, at, after = text.strip().rpartition("@")
    start = before.partition("://")[0] + "://" if at and "://" in before else ""
    return (start + after).split("?")[0]


def _is_local(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False

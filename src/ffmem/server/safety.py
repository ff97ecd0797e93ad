"""What stands between a browser and the explorer: under which names it is asked, how much, and what a page may do.

On this machine alone the explorer trusts whoever can run a program here; `access.py` says who comes in from elsewhere. Another
site's page, open in the same browser, never may: it can neither reach the explorer under a name of its own (DNS rebinding)
nor write to it, nor make it compute.
"""

import json
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from ipaddress import ip_address
from typing import Any

from ffmem.server.limits import MAX_BODY_BYTES

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOOPBACK = ("127.0.0.1", "localhost", "::1")
READING = ("GET", "HEAD")
_PROXIED = "ffmem.proxied"
_POLICY = "content-security-policy"
_HEADERS = {
    # 'unsafe-inline' is for style attributes alone: shades and bars; no script can be written into a page
    _POLICY: "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-cache",
}


class Guard:
    """Refuses requests that no page of the explorer makes, and says to browsers what its pages may do.

    Args:
        app: what is guarded.
        hosts: names under which the explorer may be asked, without port.
        proxy: the address of a proxy whose word on scheme and address of a visitor is taken.
        embed_in: origins whose pages may show bare pages in a frame.
    """

    def __init__(
        self, app: App, hosts: Iterable[str] = LOOPBACK, proxy: str | None = None, embed_in: Iterable[str] = ()
    ) -> None:
        self._app, self._hosts, self._proxy = app, {host.lower() for host in hosts}, proxy
        frames = " ".join(embed_in)
        bare = {_POLICY: _HEADERS[_POLICY].replace("frame-ancestors 'none'", f"frame-ancestors {frames}")}
        self._bare = _HEADERS | bare if frames else _HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scope = self._as_the_proxy_says(scope)
        refusal = self._refusal(scope, headers)
        if refusal is not None:
            await _refuse(send, *refusal)
            return
        if scope["method"] == "HEAD":
            scope, send = {**scope, "method": "GET"}, _without_body(send)
        is_bare = scope["query_string"] and "embed=1" in scope["query_string"].decode("latin-1").split("&")
        added = self._bare if is_bare else _HEADERS
        n_read = 0

        async def limited() -> Message:
            nonlocal n_read
            message = await receive()
            n_read += len(message.get("body", b""))
            if n_read > MAX_BODY_BYTES:
                raise BodyTooLarge
            return message

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = {name for name, _ in message["headers"]}
                message["headers"] = list(message["headers"]) + [
                    (name.encode(), value.encode()) for name, value in added.items() if name.encode() not in own
                ]
            await send(message)

        try:
            await self._app(scope, limited, with_headers)
        except BodyTooLarge:
            await _refuse(send, *_TOO_LARGE)

    def _as_the_proxy_says(self, scope: Scope) -> Scope:
        """The request as it came to the proxy, if it came through that; its headers mean nothing from anybody else."""
        peer = scope.get("client")
        proxied = self._proxy is not None and peer is not None and _plain_address(peer[0]) == self._proxy
        scope = {**scope, _PROXIED: proxied}
        if not proxied:
            return scope
        told: dict[bytes, list[str]] = {}
        for name, value in scope["headers"]:
            told.setdefault(name.lower(), []).append(value.decode("latin-1").strip())
        scheme, visitor = told.get(b"x-forwarded-proto", []), told.get(b"x-forwarded-for", [])
        if scheme in (["http"], ["https"]):
            scope["scheme"] = scheme[0]
        if visitor:  # of several, the last is what the proxy itself has added
            scope["client"] = visitor[-1].rpartition(",")[2].strip()[:100], 0
        return scope

    def _refusal(self, scope: Scope, headers: dict[str, str]) -> tuple[int, str] | None:
        host = headers.get("host", "")
        if _without_port(host) not in self._hosts:
            return (
                421,
                f"the explorer does not answer to the name {host[:100]!r}: expected {', '.join(sorted(self._hosts))}",
            )
        origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
        if origin is not None and origin.lower() != f"{scope['scheme']}://{host}".lower():
            return 403, f"the request comes from a page of {origin[:100]!r}, not from the explorer"
        navigates = scope["method"] in READING and headers.get("sec-fetch-mode") == "navigate"
        if site not in ("same-origin", "none") and not navigates:
            return 403, "the request comes from a page of another site; follow a link instead"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > MAX_BODY_BYTES:
            return _TOO_LARGE
        return None


class BodyTooLarge(Exception):  # noqa: N818 (named for the answer that it becomes)
    """More was sent than is read."""


_TOO_LARGE = (413, f"the request is too large: expected at most {MAX_BODY_BYTES:,} bytes")


def is_from_proxy(scope: Scope) -> bool:
    """Whether a request has come through the proxy that the explorer trusts."""
    return bool(scope.get(_PROXIED))


def _plain_address(text: str) -> str:
    """An address as `ip_address` writes it: one of IPv4 may come in the form of IPv6."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return text
    mapped = getattr(address, "ipv4_mapped", None)
    return str(mapped or address)


def _without_body(send: Send) -> Send:
    """What is sent of the answer to HEAD."""

    async def sent(message: Message) -> None:
        await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

    return sent


def _without_port(host: str) -> str:
    name = host.lower()
    if name.startswith("["):
        return name[1:].partition("]")[0]
    return name.partition(":")[0]


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"error": {"kind": "refused", "message": f"ffmem: {why}."}}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""Lets visitors in: by a token, by the login that a token gave, or by the word of a proxy. All else is refused."""

import math
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from ffmem.errors import InputError
from ffmem.server.answers import Refused, failure, wants_page
from ffmem.server.embedding import is_bare, is_part_of_bare
from ffmem.server.limits import MAX_BODY_BYTES
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.safety import READING, App, Receive, Scope, Send, is_from_proxy
from ffmem.server.sharing.logins import SESSION_S, Attempts, Sessions
from ffmem.server.sharing.settings import Sharing
from ffmem.server.sharing.visitors import MAX_NAME, VISITOR, Visitor

_OPEN = "/static/"
"""What is read before logging in: the package's own styles and scripts."""
_EVERYBODY = Visitor("", "read")
"""Who reads what is public."""


class Access:
    """Lets in whom `Sharing` names, and tells the rest of the application who it is.

    Args:
        app: what only they may ask.
        sharing: who they are.
    """

    def __init__(self, app: App, sharing: Sharing) -> None:
        self._app, self._sharing = app, sharing
        self._sessions, self._attempts = Sessions(), Attempts()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = await self._answer(request) if self._sharing.needs_login else None
        if isinstance(answer, Response):
            answer.headers["cache-control"] = "no-store"
            await answer(scope, receive, send)
            return
        if is_bare(request):  # the page around it might draw something over a button
            answer = _EVERYBODY
        before = VISITOR.set(answer)
        try:
            await self._app(scope, receive, send)
        finally:
            VISITOR.reset(before)

    async def _answer(self, request: Request) -> Response | Visitor:
        """Who asks, or what is told to somebody who may not."""
        path = request.url.path
        if path in ("/login", "/logout") and self._sharing.tokens is not None:
            return await self._log(request, path)
        visitor = self._visitor(request)
        if isinstance(visitor, Response):
            return visitor
        if visitor is None and self._is_open(request):
            return _EVERYBODY
        if visitor is None:
            return self._unknown(request)
        if visitor.role != "write" and request.method not in READING:
            return failure(request, _only_reads(visitor))
        return visitor

    def _is_open(self, request: Request) -> bool:
        if request.method not in READING:
            return False
        return request.url.path.startswith(_OPEN) or (
            self._sharing.embed_public and (is_bare(request) or is_part_of_bare(request))
        )

    def _visitor(self, request: Request) -> Visitor | Response | None:
        """Who asks; None if nothing says so, an answer if what says so is wrong."""
        if self._sharing.user_header is not None:
            return self._by_proxy(request, self._sharing.user_header)
        told = request.headers.getlist("authorization")
        if told:
            kind, _, token = told[0].partition(" ")
            return self._by_token(request, token.strip() if kind.lower() == "bearer" and len(told) == 1 else "")
        held = _cookie(request)
        return self._sessions.visitor(held) if held else None

    def _by_proxy(self, request: Request, header: str) -> Visitor | None:
        names = request.headers.getlist(header)
        name = names[0].strip() if len(names) == 1 else ""
        if not is_from_proxy(request.scope) or not 0 < len(name) <= MAX_NAME or not name.isprintable():
            return None
        return Visitor(name, "write")

    def _by_token(self, request: Request, token: str) -> Visitor | Response:
        """Whose token it is; a wrong one counts, and after too many of them none is looked at for a while."""
        address = request.client.host if request.client else ""
        wait = math.ceil(self._attempts.wait_s(address))
        if wait:
            refused = self._refusal(request, 429, f"too many wrong tokens came from here. Try again in {wait} s.")
            refused.headers["retry-after"] = str(wait)
            return refused
        visitor = self._sharing.tokens.find(token) if self._sharing.tokens is not None else None
        if visitor is None:
            self._attempts.failed(address)
            return self._refusal(request, 401, "this token is none that lets anybody in.")
        return visitor

    async def _log(self, request: Request, path: str) -> Response:
        """The form to log in, what it sends, and logging out."""
        if request.method in READING:
            return self._form(request, 200, "", _inside(request.query_params.get("next", "")))
        name = _cookie_name(request)
        if path == "/logout":
            self._sessions.end(_cookie(request))
            answer = RedirectResponse("/login", 303)
            answer.delete_cookie(name, path="/", httponly=True, samesite="strict")
            return answer
        fields = await _fields(request)
        visitor = self._by_token(request, fields.get("token", "").strip())
        if isinstance(visitor, Response):
            return visitor
        self._sessions.end(_cookie(request))
        answer = RedirectResponse(_inside(fields.get("next", "")), 303)
        answer.set_cookie(
            name,
            self._sessions.begin(visitor),
            max_age=int(SESSION_S),
            path="/",
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _unknown(self, request: Request) -> Response:
        if self._sharing.user_header is not None:
            return self._refusal(request, 403, "the proxy in front of this explorer does not say who you are.")
        query = f"?{request.url.query}" if request.url.query else ""
        here = _inside(request.url.path + query) if request.method in READING else "/"
        return self._refusal(request, 401, "", here)

    def _refusal(self, request: Request, status: int, why: str, here: str = "/") -> Response:
        """A page with the form, or one JSON body; neither has a word of the index."""
        if wants_page(request):
            return self._form(request, status, why, here)
        told = InputError(
            why.rstrip(".") or "this explorer lets only visitors in whom it knows",
            "Expected Authorization: Bearer TOKEN, or a login"
            if self._sharing.tokens is not None
            else "Expected to be asked by its proxy, for a user whom the proxy names",
            "Ask whoever runs the explorer for a token"
            if self._sharing.tokens is not None
            else "Ask through the proxy",
        )
        answer = failure(request, told, status=status)
        if status == 401:
            answer.headers["www-authenticate"] = "Bearer"
        return answer

    def _form(self, request: Request, status: int, why: str, here: str) -> Response:
        elsewhere = request.headers.get("sec-fetch-site") in ("cross-site", "same-site")
        takes_tokens = self._sharing.tokens is not None
        text = render("login.html", Links(), why=why, here=here, elsewhere=elsewhere, takes_tokens=takes_tokens)
        return HTMLResponse(text.encode("utf-8", "backslashreplace"), status)


def _only_reads(visitor: Visitor) -> Refused:
    refused = Refused()
    refused.__cause__ = InputError(
        f"{visitor.name or 'a visitor without a login'} may read here, and change nothing",
        "Expected a visitor who may write",
        "Ask whoever runs the explorer",
    )
    return refused


def _inside(address: str) -> str:
    """An address of this explorer; its first page for any other."""
    plain = address.isascii() and address.isprintable() and len(address) <= 30_000
    outside = not address.startswith("/") or address.startswith(("//", "/\\", "/login", "/logout"))
    return "/" if outside or not plain or "\\" in address.partition("?")[0] else address


async def _fields(request: Request) -> dict[str, str]:
    text = (await request.body())[:MAX_BODY_BYTES].decode("utf-8", "replace")
    try:
        return {name: values[-1] for name, values in parse_qs(text, max_num_fields=10).items()}
    except ValueError:
        return {}


def _cookie_name(request: Request) -> str:
    """Browsers do not tell ports of a host apart, so two explorers need two names."""
    port = (request.scope.get("server") or ("", 0))[1]
    return f"{'__Host-' if request.url.scheme == 'https' else ''}ffmem-{port}"


def _cookie(request: Request) -> str:
    try:
        found = SimpleCookie(request.headers.get("cookie", "")).get(_cookie_name(request))
    except CookieError:
        return ""
    return found.value if found is not None else ""

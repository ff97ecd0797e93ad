"""Who is let in: no combination of missing, wrong or forged credentials reads anything."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from ffmem.server.access import Access
from ffmem.server.safety import Guard
from ffmem.server.sharing.logins import MAX_FAILURES
from ffmem.server.sharing.settings import Sharing
from ffmem.server.sharing.tokens import Tokens
from ffmem.server.sharing.visitors import VISITOR
from tests.server.conftest import HTML
from tests.server.page import assert_sound

WRITE, READ = "a-token-that-may-write-1", "a-token-that-may-read-22"
NEAR = st.sampled_from(
    [WRITE, READ, WRITE[:-1], WRITE.upper(), f"{WRITE} {WRITE}", f"{WRITE}x", WRITE[::-1], "", "*", "null"]
)
BEARER = st.one_of(
    st.builds("Bearer {}".format, NEAR),
    st.builds("bearer   {}".format, NEAR),
    st.builds("Basic {}".format, NEAR),
    st.builds("{}".format, NEAR),
    st.text(st.characters(codec="ascii", exclude_categories=["Cc"]), max_size=40).map(str.strip),
)
PATHS = [
    "/",
    "/cells/L0.1",
    "/index.json",
    "/model.json",
    "/openapi.json",
    "/search?q=a",
    "/login/",
    "/staticx",
    "//login",
]


async def secret(scope: Any, receive: Any, send: Any) -> None:
    """What only visitors may read, and who is told to be one."""
    visitor = VISITOR.get()
    body = f"the secret, for {visitor.name if visitor else 'nobody'}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": body})


def client_of(sharing: Sharing, peer: str = "192.0.2.7", **options: Any) -> TestClient:
    app = Guard(Access(secret, sharing), ("ffmem.example",), sharing.proxy, sharing.embed_in)
    return TestClient(app, base_url="http://ffmem.example", client=(peer, 5), follow_redirects=False, **options)


def by_tokens(**options: Any) -> Sharing:
    return Sharing(Tokens(f"write ann {WRITE}\nread bob {READ}", "a test"), **options)


def is_let_in(headers: list[tuple[str, str]], method: str) -> bool:
    """By the words of the document: one header, the scheme, a known token; and a token that may write, to write."""
    told = [value for name, value in headers if name == "authorization"]
    if len(told) != 1:
        return False
    words = told[0].split()
    known = {WRITE: True, READ: method == "GET"}
    return len(words) == 2 and words[0].lower() == "bearer" and known.get(words[1], False)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.just("authorization"), BEARER), max_size=2),
    st.lists(
        st.tuples(
            st.sampled_from(["x-forwarded-user", "x-forwarded-for", "x-forwarded-proto", "cookie", "remote-user"]),
            st.sampled_from(
                ["ann", "127.0.0.1", "https", f"ffmem-80={WRITE}", f"ffmem-80={READ}; ffmem-80=x", "a=b; ;="]
            ),
        ),
        max_size=3,
    ),
    st.sampled_from(PATHS),
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
    st.booleans(),
)
def test_only_a_known_token_reads(
    tokens: list[tuple[str, str]], others: list[tuple[str, str]], path: str, method: str, html: bool
) -> None:
    headers = [*tokens, *others, *(HTML.items() if html else ())]
    client = client_of(by_tokens())
    if html and method != "GET" and is_let_in(headers, "GET"):
        return  # the page that refuses belongs to the whole explorer
    answer = client.request(method, path, headers=headers)
    assert ("secret" in answer.text) is is_let_in(headers, method), (headers, path, answer.status_code)
    if not is_let_in(headers, method):
        assert answer.status_code in (401, 403), answer.status_code


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from(["ann", "", " ", "a" * 61, "\u00e4", "a\tb", "Ann B"]).map(str.encode), max_size=2),
    st.sampled_from(["127.0.0.1", "192.0.2.7", "::1", "::ffff:127.0.0.1"]),
    st.sampled_from(["127.0.0.1", "10.0.0.1, 127.0.0.1", None]),
)
def test_only_the_proxy_names_somebody(names: list[bytes], peer: str, forwarded: str | None) -> None:
    client = client_of(Sharing(proxy="127.0.0.1", user_header="x-forwarded-user"), peer)
    headers = [(b"x-forwarded-user", one) for one in names]
    headers += [(b"x-forwarded-for", forwarded.encode())] if forwarded else []
    answer = client.get("/", headers=headers)
    named = len(names) == 1 and 0 < len(names[0].strip()) <= 60 and b"\t" not in names[0]
    assert ("secret" in answer.text) is (named and peer in ("127.0.0.1", "::ffff:127.0.0.1")), (names, peer)


@pytest.mark.parametrize("host", ["evil.example", "localhost", "127.0.0.1", ""])
def test_a_token_does_not_excuse_another_name(host: str) -> None:
    answer = client_of(by_tokens()).get("/", headers={"authorization": f"Bearer {WRITE}", "host": host})
    assert answer.status_code == 421 and "secret" not in answer.text


def test_a_login_lasts_until_it_is_ended() -> None:
    client = client_of(by_tokens())
    page = assert_sound(client.get("/cells/L0.1?a=1", headers=HTML).text)
    form = page.one("form", action="/login")
    assert form.one("input", name="next").attributes["value"] == "/cells/L0.1?a=1"
    assert form.one("input", name="token").attributes["type"] == "password"
    answer = client.post("/login", data={"token": READ, "next": "/cells/L0.1?a=1"}, headers=HTML)
    assert answer.status_code == 303 and answer.headers["location"] == "/cells/L0.1?a=1"
    assert READ not in answer.headers["set-cookie"] and answer.headers["cache-control"] == "no-store"
    held = client.cookies["ffmem-80"]
    assert client.get("/").text == "the secret, for bob"
    client.post("/logout")
    client.cookies.set("ffmem-80", held)
    assert client.get("/").status_code == 401


@pytest.mark.parametrize(
    "address",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:1", "", "/logout", "/a\nb", "/ä"],
)
def test_a_login_leads_nowhere_else(address: str) -> None:
    answer = client_of(by_tokens()).post("/login", data={"token": READ, "next": address}, headers=HTML)
    assert answer.headers["location"] == "/"


def test_wrong_tokens_are_slowed_down_where_they_come_from() -> None:
    sharing = by_tokens(proxy="127.0.0.1")
    client = client_of(sharing, "127.0.0.1")
    attacker, other = {"x-forwarded-for": "198.51.100.1"}, {"x-forwarded-for": "6.6.6.6, 198.51.100.2"}
    held = client.post("/login", data={"token": WRITE}, headers=attacker).headers["set-cookie"].partition(";")[0]
    client.cookies.clear()
    for number in range(MAX_FAILURES):
        headers = attacker | {"authorization": f"Bearer wrong-{number}", "x-forwarded-user": "ann"}
        assert client.get("/", headers=headers).status_code == 401
    right = {"authorization": f"Bearer {WRITE}"}
    late = client.get("/", headers=attacker | right)
    assert late.status_code == 429 and 0 < int(late.headers["retry-after"]) <= 60 and "secret" not in late.text
    assert client.post("/login", data={"token": WRITE}, headers=attacker).status_code == 429
    assert client.get("/", headers=other | right).status_code == 200
    assert client.get("/", headers=attacker | {"cookie": held}).status_code == 200  # who is in stays in


def test_bare_pages_are_public_only_where_that_was_said() -> None:
    frames = ("https://notes.example",)
    for public in (False, True):
        client = client_of(by_tokens(embed_in=frames, embed_public=public))
        for path in ("/cells/L0.1?embed=1", "/figures?embed=1", "/figures/labels.svg", "/vega.js"):
            assert ("secret" in client.get(path).text) is public, path
        for path in (
            "/cells/L0.1",
            "/cells/L0.1?embed=2",
            "/cells/L0.1.json?embed=1",
            "/?embed=1",
            "/search?q=a&embed=1",
        ):
            assert client.get(path).status_code == 401, path
        assert client.post("/cells/L0.1?embed=1").status_code == 401


def test_only_bare_pages_may_stand_in_frames_of_the_origins_that_were_named() -> None:
    client = client_of(Sharing(embed_in=("https://notes.example", "https://b.example")))
    for path, ancestors in (
        ("/cells/L0.1?embed=1", "https://notes.example https://b.example"),
        ("/cells/L0.1", "'none'"),
        ("/cells/L0.1?xembed=1", "'none'"),
    ):
        assert client.get(path).headers["content-security-policy"].endswith(f"frame-ancestors {ancestors}"), path
    assert client_of(Sharing()).get("/cells/L0.1?embed=1").headers["content-security-policy"].endswith("'none'")

"""Who may ask the explorer, and for how much."""

import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem.server.app import make_app
from ffmem.server.limits import MAX_BODY_BYTES
from ffmem.server.opening import open_explorer
from tests.conftest import IN_PROCESS
from tests.server.conftest import HTML


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "", "evil.example:8765", "[::2]"])
def test_another_name_is_refused(client: TestClient, host: str) -> None:
    """DNS rebinding: a name of an attacker's that points here."""
    assert client.get("/", headers={"host": host}).status_code == 421


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1:8765", "[::1]:8765", "LOCALHOST"])
def test_names_of_this_machine_are_not(client: TestClient, host: str) -> None:
    assert client.get("/model.json", headers={"host": host}).status_code == 200


def test_a_further_name_can_be_allowed(client: TestClient) -> None:
    explorer = client.app.state.explorer  # type: ignore[attr-defined]
    allowed = TestClient(make_app(explorer, ("ffmem.example",)), base_url="http://ffmem.example")
    assert allowed.get("/model.json").status_code == 200
    assert TestClient(make_app(explorer, ("ffmem.example",)), base_url="http://localhost").get("/").status_code == 421


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://evil.example"},
        {"origin": "http://localhost:3000"},
        {"origin": "null"},
        {"origin": "https://localhost:8765"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "no-cors"},
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_pages_of_other_sites_cannot_ask(client: TestClient, headers: dict[str, str], method: str) -> None:
    assert client.request(method, "/model.json", headers=headers).status_code == 403


def test_links_from_other_sites_work_but_forms_do_not(client: TestClient) -> None:
    link = {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}
    assert client.get("/", headers=HTML | link).status_code == 200
    assert client.post("/", headers=HTML | link).status_code == 403


def test_the_explorers_own_pages_can(client: TestClient) -> None:
    own = {"origin": "http://localhost:8765", "sec-fetch-site": "same-origin"}
    assert client.get("/model.json", headers=own).status_code == 200


def test_every_answer_says_what_its_page_may_do(client: TestClient) -> None:
    for path in ("/", "/cells/L0.1", "/static/explorer.js", "/nowhere", "/index.json"):
        headers = client.get(path, headers=HTML).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy and "script-src 'self';" in policy and "frame-ancestors 'none'" in policy
        assert headers["x-content-type-options"] == "nosniff"


def test_a_body_that_is_too_large_is_not_read(client: TestClient) -> None:
    assert client.post("/model.json", content=b"x" * (MAX_BODY_BYTES + 1)).status_code == 413
    assert client.post("/model.json", headers={"content-length": "many"}, content=b"").status_code == 413


@pytest.mark.parametrize(
    "path",
    [
        "/static/../app.py",
        "/static/..%2fapp.py",
        "/static/%2e%2e/app.py",
        "/static//etc/passwd",
        "/figures/..%2f..%2fmanifest.csv",
        "/patterns/..%2fstudy.csv",
        "/cells/..%2f..%2fetc%2fpasswd",
        "/sentences/..%2f1",
    ],
)
def test_no_path_reaches_the_file_system(client: TestClient, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code in (400, 404)
    assert "def " not in answer.text and "root:" not in answer.text


class _Elements(HTMLParser):
    """Every element of a page, as a browser would see it."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def assert_only_our_own(text: str) -> None:
    """No element or attribute that a text brought."""
    elements = _Elements()
    elements.feed(text)
    assert len(elements.found) > 20
    for tag, attributes in elements.found:
        assert tag != "script" or (attributes.get("src") or "").startswith(("/static/", "/vega.js")), attributes
        assert tag not in ("svg", "iframe", "object", "embed", "base", "b")
        assert not [name for name in attributes if name.startswith("on")], attributes
        assert not (attributes.get("href") or "").lower().startswith(("javascript:", "data:", "//"))


HOSTILE = (
    "<script>alert(1)</script> and <img src=x onerror=alert(1)> stand here.\n\n"
    '"><svg onload=alert(1)> closes an attribute\' onmouseover=alert(1) x=".\n\n'
    "{{ 7 * 7 }} {% raw %} ${7*7} </title></textarea></script><script>alert(2)</script>.\n\n"
    "<!-- <a href=javascript:alert(1)>link</a> --> &lt;b&gt; &amp; \u202e right to left \u2028 new line \x01 nothing.\n\n"
)


def test_a_corpus_of_html_and_scripts_stays_text(tmp_path: Path, tiny_folder: Callable[[str], Path]) -> None:
    corpus = tmp_path / "hostile.jsonl"
    lines = [
        {"text": text, "topic": "<script>alert(3)</script>", "title": '" onload="alert(4)'}
        for text in HOSTILE.split("\n\n")
    ]
    corpus.write_text("\n".join(map(json.dumps, lines * 3)))
    options = ffmem.IndexOptions(top=4, holdout=0, duplicates="keep")
    ffmem.build_index(tiny_folder("llama"), corpus, tmp_path / "i", options=options, run=IN_PROCESS)
    explorer = open_explorer(tmp_path / "i")
    client = TestClient(make_app(explorer), base_url="http://localhost")
    pages = [
        "/",
        "/cells",
        "/cells/L0.1",
        "/cells/L0.1/shades",
        "/cells/L0.1/similar",
        "/sentences/0",
        "/sentences/3",
    ]
    pages += ["/search?q=<script>alert(5)</script>", "/cells/<script>alert(6)<%2Fscript>", "/<script>alert(7)</script>"]
    for path in pages:
        assert_only_our_own(client.get(path, headers=HTML).text)
    assert "&lt;script&gt;alert(1)" in client.get("/sentences/0", headers=HTML).text
    explorer.model.close()

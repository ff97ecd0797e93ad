"""The configurations of docs/how-to/share-an-explorer.md, run by nginx itself."""

import base64
import contextlib
import re
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from ffmem import Index
from ffmem.annotations.batches import draw, save_batch
from ffmem.annotations.store import load
from ffmem.names.people import history
from ffmem.server.app import make_app
from ffmem.server.listen import listen
from ffmem.server.opening import open_explorer
from ffmem.server.sharing.settings import Sharing
from ffmem.server.sharing.tokens import Tokens
from tests.server.conftest import HTML

uvicorn = pytest.importorskip("uvicorn", reason="listening needs the extra explorer")
_NGINX = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
pytestmark = [
    pytest.mark.skipif(_NGINX is None, reason="nginx is not installed"),
    pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl, which makes a certificate, is not installed"),
]
DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "share-an-explorer.md"
ANN, BOB = "a-token-of-ann-0123456789", "a-token-of-bob-0123456789"


@contextlib.contextmanager
def listening(app: Any) -> Iterator[int]:
    """The port of a server in a thread."""
    made: list[Any] = []
    ready, told = threading.Event(), []

    class Server(uvicorn.Server):  # type: ignore[misc]
        def __init__(self, config: Any) -> None:
            super().__init__(config)
            made.append(self)

    def say(address: str) -> None:
        told.append(int(address.rpartition(":")[2]))
        ready.set()

    module = SimpleNamespace(Config=uvicorn.Config, Server=Server)
    thread = threading.Thread(target=listen, args=(module, app, "127.0.0.1", 0, say))
    thread.start()
    assert ready.wait(20)
    yield told[0]
    made[0].should_exit = True
    thread.join(20)


def free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@pytest.fixture(scope="module")
def index(index_of: Callable[[str], Index], tmp_path_factory: Any) -> Index:
    import ffmem

    folder = tmp_path_factory.mktemp("shared") / "index"
    shutil.copytree(index_of("gpt2").folder, folder)
    found = ffmem.open_index(folder)
    save_batch(found, draw(found, "b", per_layer=1, n_triggers=5))
    return found


@pytest.fixture(scope="module")
def shared(index: Index, tmp_path_factory: Any) -> Iterator[tuple[dict[str, int], ssl.SSLContext]]:
    """Ports of nginx: before an explorer with tokens, before one that trusts the proxy's word, before one that is read-only."""
    folder = tmp_path_factory.mktemp("nginx")
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost"
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", str(folder / "key")]
    subprocess.run([*make.split(), *names, "-out", str(folder / "certificate")], check=True, capture_output=True)
    (folder / "passwords").write_text("Cleo@example.org:{PLAIN}secret\n")
    by_token, by_name = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    tokens = Tokens(f"write ann {ANN}\nread bob {BOB}", "a test")
    explorers = {
        "tokens": (by_token, Sharing(tokens, proxy="127.0.0.1"), False),
        "names": (by_name, Sharing(proxy="127.0.0.1", user_header="x-forwarded-user"), False),
        "reading": (by_token, Sharing(tokens, proxy="127.0.0.1"), True),
    }
    ports: dict[str, int] = {}
    blocks = []
    with contextlib.ExitStack() as stack:
        for name, (documented, sharing, read_only) in explorers.items():
            block = documented
            app = make_app(open_explorer(index.folder, with_model=False, read_only=read_only), ("localhost",), sharing)
            ports[name] = free_port()
            behind = stack.enter_context(listening(app))
            for old, new in (
                ("listen 443 ssl", f"listen 127.0.0.1:{ports[name]} ssl"),
                ("ffmem.example.org", "localhost"),
                ("/etc/ssl/certs/ffmem.pem", str(folder / "certificate")),
                ("/etc/ssl/private/ffmem.key", str(folder / "key")),
                ("/etc/nginx/ffmem.htpasswd", str(folder / "passwords")),
                ("127.0.0.1:8765", f"127.0.0.1:{behind}"),
            ):
                block = block.replace(old, new)
            blocks.append(block)
        temporary = "\n".join(
            f"{one}_temp_path {folder}/{one};" for one in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (folder / "nginx.conf").write_text(
            f"daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log stderr warn;\n"
            f"events {{}}\nhttp {{ access_log off; {temporary}\n{''.join(blocks)} }}\n"
        )
        process = subprocess.Popen(
            [str(_NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"], stderr=subprocess.PIPE
        )
        try:
            _wait(ports["tokens"], process)
            yield ports, ssl.create_default_context(cafile=str(folder / "certificate"))
        finally:
            process.terminate()
            process.communicate(timeout=20)


def _wait(port: int, process: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            pytest.fail(f"nginx has ended: {process.communicate()[1].decode()}")
        time.sleep(0.05)
    pytest.fail("nginx does not listen")


@pytest.fixture
def visit(shared: tuple[dict[str, int], ssl.SSLContext]) -> Iterator[Callable[[str], Any]]:
    """A browser of its own, before one of the proxies."""
    ports, context = shared
    with contextlib.ExitStack() as stack:
        yield lambda name: stack.enter_context(
            httpx2.Client(base_url=f"https://localhost:{ports[name]}", verify=context, trust_env=False)
        )


def test_a_login_over_tls_and_what_it_lets_do(visit: Callable[[str], Any], index: Index) -> None:
    browser = visit("tokens")
    first = browser.get("/cells/L1.3?triggers=3", headers=HTML)
    assert first.status_code == 401 and "L1.3 of" not in first.text and 'type="password"' in first.text
    origin = {"origin": str(browser.base_url).rstrip("/")}
    wrong = browser.post("/login", data={"token": ANN[:-1]}, headers=HTML | origin)
    assert wrong.status_code == 401 and "set-cookie" not in wrong.headers
    asked = {"token": ANN, "next": "/cells/L1.3?triggers=3"}
    answer = browser.post("/login", data=asked, headers=HTML | origin)
    assert answer.status_code == 303 and answer.headers["location"] == "/cells/L1.3?triggers=3"
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-ffmem-") and ANN not in cookie
    assert {"httponly", "secure", "samesite=strict", "path=/"} <= {one.strip().lower() for one in cookie.split(";")}
    page = browser.get("/cells/L1.3", headers=HTML)
    assert page.status_code == 200 and "You are <bdi>ann</bdi>" in page.text
    revision = browser.get("/cells/L1.3/name.json").json()["revision"]
    sent = {"text": "rivers", "author": "somebody else", "revision": revision}
    assert browser.post("/cells/L1.3/name", data=sent, headers=HTML | origin).status_code == 303
    assert [(one.label.text, one.label.author) for one in history(index, index.cell_id("L1.3"), 1).labels][-1] == (
        "rivers",
        "ann",
    )
    evil = browser.post("/cells/L1.3/name", data=sent, headers=HTML | {"origin": "https://evil.example"})
    assert evil.status_code == 403
    assert browser.post("/logout", headers=origin).status_code == 303
    assert browser.get("/cells/L1.3", headers=HTML).status_code == 401


def test_who_may_only_read_changes_nothing(visit: Callable[[str], Any], index: Index) -> None:
    for name, token in (("tokens", BOB), ("reading", ANN)):
        bearer = {"authorization": f"Bearer {token}"}
        browser = visit(name)
        assert browser.get("/cells/L1.4.json", headers=bearer).json()["cell"] == "L1.4"
        assert (
            "<form"
            not in browser.get("/annotate", headers=bearer | HTML).text.partition("<main")[2].partition("</main")[0]
        )
        refused = browser.post("/cells/L1.4/name.json", json={"text": "x"}, headers=bearer)
        assert refused.status_code in (400, 403) and refused.json()["error"]["mend"]
    assert not [one for one in history(index, index.cell_id("L1.4"), 1).labels if one.label.source == "human"]


def test_the_proxy_says_who_somebody_is_and_nobody_else(visit: Callable[[str], Any], index: Index) -> None:
    browser = visit("names")
    assert browser.get("/cells.json", headers={"x-forwarded-user": "mallory"}).status_code == 401  # nginx itself asks
    known = {"authorization": "Basic " + base64.b64encode(b"Cleo@example.org:secret").decode()}
    as_another = known | {"x-forwarded-user": "mallory", "x-forwarded-for": "10.0.0.1", "x-forwarded-proto": "http"}
    assert "You are <bdi>Cleo@example.org</bdi>" in browser.get("/", headers=as_another | HTML).text
    begun = browser.get("/annotate", headers=known | HTML).text
    own = re.search(r'name="annotator" value="([a-z0-9_-]+)"', begun)
    assert own and own[1].startswith("u-cleo-example-org-")
    body = {"revision": 0, "patterns": [{"text": "water", "class": "semantic"}], "marks": [[1]] * 5, "done": True}
    assert browser.put(f"/annotate/b/{own[1]}/1.json", json=body, headers=known).status_code == 200
    forged = browser.put("/annotate/b/ann/1.json", json=body, headers=known)
    assert forged.status_code == 400 and "logged in as Cleo@example.org" in forged.json()["error"]["got"]
    assert [one.annotator for one in load(index)] == [own[1]]


def test_a_long_answer_comes_whole(visit: Callable[[str], Any], index: Index) -> None:
    bearer = {"authorization": f"Bearer {ANN}"}
    browser = visit("tokens")
    rows = [
        browser.get(f"/cells.json?limit=200&sort={sort}", headers=bearer).json()["rows"] for sort in ("max", "mean")
    ]
    assert [len(one) for one in rows] == [min(200, index.n_cells)] * 2
    whole = browser.get("/openapi.json", headers=bearer)
    assert len(whole.content) == int(whole.headers["content-length"]) > 20_000
    head = browser.head("/openapi.json", headers=bearer)
    assert head.status_code == 200 and head.content == b""
    assert head.headers["content-length"] == whole.headers["content-length"]

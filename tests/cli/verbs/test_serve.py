"""`ffmem serve` up to the socket, asked without a network; `ffmem site`."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, InputError, StoreError
from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index

pytest.importorskip("fastapi", reason="the explorer needs the extra explorer")
pytest.importorskip("altair", reason="the explorer needs the extra explorer")
from starlette.testclient import TestClient

from ffmem.cli.verbs import serve as module


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return make_index(tmp_path / "i", [Document([["the", " old"], [" river"]])], [Layer([[1, 2], [3, -1], [0, 5]])])


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Any, str, int]]:
    """The application that would be served, and the address; Ctrl-C comes as soon as it is said."""

    def run(*arguments: object) -> tuple[Any, str, int]:
        found: list[tuple[Any, str, int]] = []

        def listen(_: Any, app: Any, host: str, port: int, say: Callable[[str], None]) -> None:
            found.append((app, host, port))
            say(f"http://{host}:{port}")
            raise KeyboardInterrupt

        monkeypatch.setattr(module, "listen", listen)
        typed("serve", *arguments)
        return found[0]

    return run


def test_it_answers_to_this_machine_and_says_where(
    index: Index, served: Callable[..., tuple[Any, str, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    app, host, port = served(index.folder, "--no-model", "--port", 0)
    assert (host, port) == ("127.0.0.1", 0)
    assert capsys.readouterr() == ("http://127.0.0.1:0  (Ctrl-C stops it)\n", "")
    client = TestClient(app, base_url="http://localhost")
    assert client.get("/cells/L0.1.json").json()["statistics"]["maximum"] == 5.0
    assert TestClient(app, base_url="http://elsewhere.example").get("/").status_code == 421


def test_other_machines_are_let_in_by_name_and_token(
    index: Index,
    served: Callable[..., tuple[Any, str, int]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    elsewhere = (index.folder, "--no-model", "--host", "0.0.0.0", "--allow-host", "ffmem.example")
    with pytest.raises(InputError, match=r"open to everybody who reaches 0\.0\.0\.0"):
        served(*elsewhere)
    token = "a-token-of-ann-0123456789"
    monkeypatch.setenv("FFMEM_TOKEN", f"write ann {token}")
    app, host, _ = served(*elsewhere)
    said = capsys.readouterr()
    assert host == "0.0.0.0" and "ann may come in and read\n" in said.err and "not encrypted" in said.err
    assert token not in said.out + said.err and app.state.explorer.read_only
    for name, status in (("ffmem.example", 200), ("0.0.0.0", 200), ("localhost", 200), ("evil.example", 421)):
        client = TestClient(app, base_url=f"http://{name}")
        assert client.get("/cells.json", headers={"authorization": f"Bearer {token}"}).status_code == status, name
        assert client.get("/cells.json").status_code == (401 if status == 200 else status)
    app, _, _ = served(*elsewhere, "--writable")
    assert not app.state.explorer.read_only and "write where their token says so" in capsys.readouterr().err


def test_read_only_forbids_annotating(index: Index, served: Callable[..., tuple[Any, str, int]]) -> None:
    for options, read_only in (((), False), (("--read-only",), True)):
        app, _, _ = served(index.folder, "--no-model", *options)
        assert app.state.explorer.read_only is read_only


def test_further_indexes_are_compared_with(
    index: Index, tmp_path: Path, served: Callable[..., tuple[Any, str, int]]
) -> None:
    other = make_index(tmp_path / "other", [Document([["the", " old"], [" river"]])], [Layer([[1, 2], [3, 1], [0, 6]])])
    app, _, _ = served(index.folder, other.folder, "--no-model")
    assert TestClient(app, base_url="http://localhost").get("/diff.json").status_code == 200


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none(index: Index, port: int) -> None:
    with pytest.raises(InputError) as error:
        typed("serve", index.folder, f"--port={port}")
    assert str(error.value) == f"--port is {port}. Expected 0 to 65535. Write --port 8765."


def test_there_must_be_an_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no index in"):
        typed("serve", tmp_path, "--no-model")


def test_a_site_in_words_and_as_json(index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "site"
    typed("site", index.folder, "--out", out, "--workers", 1)
    shown, progress = capsys.readouterr()
    assert progress.splitlines() == ["writing the site layer 0 of 1", "writing the site layer 1 of 1"]
    assert shown == f"{out}: 8 pages, 0 MB. Open {out / 'index.html'}\n" and (out / "index.html").is_file()
    typed("site", index.folder, "--out", out, "--workers", 1, "--no-text", "--triggers", 1, "--json")
    found, progress = capsys.readouterr()
    assert json.loads(found)["n_pages"] == 8 and progress == ""
    assert json.loads((out / "ffmem-site.json").read_text())["options"] == {"triggers": 1, "text": False}
    assert "the old" not in (out / "cells" / "L0" / "0.html").read_text()

"""`ffmem mcp` up to the protocol; tests/agent/test_serving.py speaks it."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index

pytest.importorskip("mcp", reason="agents need the extra mcp")
pytest.importorskip("jinja2", reason="the pages need the extra explorer")

from ffmem.agent import serving


@pytest.mark.parametrize(
    ("options", "n_tools"), [((), 8), (("--no-model",), 6), (("--no-model", "--writable"), 7), (("--writable",), 9)]
)
def test_it_offers_what_was_asked_for(
    options: tuple[str, ...], n_tools: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make_index(tmp_path / "i", [Document([["the", " old"], [" river"]])], [Layer([[1, 2], [3, -1], [0, 5]])])
    served: list[Any] = []
    monkeypatch.setattr(serving.MCPServer, "run", lambda server, transport: served.append((server, transport)))
    typed("mcp", index.folder, *options)
    ((server, transport),) = served
    assert transport == "stdio" and len(server._tool_manager.list_tools()) == n_tools


def test_answers_have_some_room(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="1000"):
        typed("mcp", tmp_path, "--answer-bytes", 10)

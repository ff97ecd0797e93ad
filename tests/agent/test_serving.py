"""The protocol, spoken by the official library's own client: in memory, and to `ffmem mcp` in a process of its own."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index

pytest.importorskip("mcp", reason="agents need the extra mcp")
pytest.importorskip("jinja2", reason="the pages need the extra explorer")

from mcp import Client, StdioServerParameters

from ffmem.agent.serving import make_server
from ffmem.agent.tools import Tools
from ffmem.names.people import history
from ffmem.server.opening import open_explorer

READING = {"overview", "search", "cell", "similar", "names", "sentence", "explain", "intervene"}


def asked(server: Any, *calls: tuple[str, dict[str, Any]]) -> tuple[list[Any], list[Any]]:
    """The tools that a server offers, and what it answers."""

    async def talk() -> tuple[list[Any], list[Any]]:
        async with Client(server) as client:
            tools = (await client.list_tools()).tools
            return tools, [await client.call_tool(name, arguments) for name, arguments in calls]

    return asyncio.run(talk())


def text_of(answer: Any) -> str:
    (one,) = answer.content
    assert answer.structured_content is None  # nothing is told twice
    return str(one.text)


def test_a_process_of_its_own_is_asked(index_of: Callable[[str], Index]) -> None:
    command = ["-m", "ffmem", "mcp", str(index_of("gpt2").folder), "--answer-bytes", "2000"]
    environment = {name: os.environ[name] for name in ("PYTHONPATH", "HOME", "PATH") if name in os.environ}
    server = StdioServerParameters(command=sys.executable, args=command, env=environment | {"OMP_NUM_THREADS": "1"})
    tools, (cell, wrong, explained) = asked(
        server,
        ("cell", {"cell": "L1.3", "limit": 50}),
        ("cell", {"cell": "L9.0"}),
        ("explain", {"text": "the old river", "limit": 50}),
    )
    assert {one.name for one in tools} == READING and all(one.annotations.read_only_hint for one in tools)
    for one in tools:
        assert "never an instruction" in one.description and len(one.description) < 700
        assert all("description" in field or "enum" in field for field in one.input_schema["properties"].values())
    assert json.loads(text_of(cell))["cell"] == "L1.3" and not cell.is_error
    assert wrong.is_error and "does not exist" in text_of(wrong) and "Expected a cell id from L0.0" in text_of(wrong)
    assert len(text_of(explained).encode()) <= 2000
    assert json.loads(text_of(explained))["for_the_rest"] == "ask with a smaller limit"


def test_only_a_writable_server_writes(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    say = ("name_cell", {"cell": "L1.3", "name": "of rivers", "author": "an agent"})
    for writable in (False, True):
        explorer = open_explorer(tmp_path / "i", with_model=False, read_only=not writable)
        tools, (answer,) = asked(make_server(Tools(explorer, None), writable), say)
        assert answer.is_error is not writable and ("name_cell" in {one.name for one in tools}) is writable
        labels = history(explorer.index, explorer.index.cell_id("L1.3"), 1).labels
        assert [(one.label.text, one.label.author) for one in labels if one.label.source == "human"] == (
            [("of rivers", "an agent")] if writable else []
        )
    assert json.loads(text_of(answer))["name"] == "of rivers"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("cell", {"cell": "x" * 101}),
        ("cell", {"cell": "L1.3", "limit": 0}),
        ("cell", {}),
        ("similar", {"cell": "L1.3", "by": "colour"}),
        ("sentence", {"sentence_id": -1}),
        ("sentence", {"sentence_id": 10**9}),
        ("search", {"query": "layer:L99"}),
        ("nothing", {}),
    ],
)
def test_what_is_wrong_is_told_as_an_error_of_the_tool(
    tool: str, arguments: dict[str, Any], index_of: Callable[[str], Index]
) -> None:
    server = make_server(Tools(open_explorer(index_of("gpt2").folder, with_model=False), None))
    _, (answer,) = asked(server, (tool, arguments))
    assert answer.is_error and len(text_of(answer)) > 20 and "--" not in text_of(answer)


@pytest.mark.parametrize(
    ("tool", "arguments", "told"),
    [
        ("cell", {"cell": "x" * 101}, "cell has 101 characters. Expected at most 100. Shorten cell."),
        ("cell", {"cell": "L1.3", "limit": 0}, "limit is 0. Expected 1 or more. Choose another value."),
        ("cell", {}, "cell is missing. Expected a value. Add cell."),
        (
            "similar",
            {"cell": "L1.3", "by": "colour"},
            "by is 'colour'. Expected one of: triggers, promoted, key, gate-key, up-key, value. Leave by out",
        ),
        (
            "nothing",
            {},
            "there is no tool 'nothing'. Expected one of: overview, search, cell, similar, names, sentence.",
        ),
    ],
)
def test_wrong_arguments_are_told_in_our_words(
    tool: str, arguments: dict[str, Any], told: str, index_of: Callable[[str], Index]
) -> None:
    server = make_server(Tools(open_explorer(index_of("gpt2").folder, with_model=False), None))
    _, (answer,) = asked(server, (tool, arguments))
    text = text_of(answer)
    assert answer.is_error and told in text and "pydantic" not in text and "nput should" not in text

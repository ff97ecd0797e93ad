"""What a command says on a device, in the process that has it."""

import asyncio
import contextlib
import io
import json
import traceback
from types import SimpleNamespace
from typing import Any

from ffmem.cli import app, studying
from ffmem.cli.verbs import atlas
from ffmem.models.transformer import Transformer

_FORWARD = Transformer.forward
TEXT = "the old river of the village"
_ASKED = f"text={TEXT.replace(' ', '+')}"
PAGES = (
    f"prompt.json?{_ASKED}&change=L1.3*0&layer=L1&at=2", f"map.json?{_ASKED}&at=2", f"attention.json?{_ASKED}&heads=L1.H0&at=2",
    f"flow.json?{_ASKED}&pin=L1.3", f"cells/L1.7/try.json?{_ASKED}", "cells/L1.7/flatness.json", "cells/L1.7/shades.json",
    "cells/L1.7/similar.json?by=value",
)  # fmt: skip
"""Of the explorer: all that ask the model."""
TOOLS = (
    ("explain", {"text": TEXT}),
    ("intervene", {"text": TEXT, "changes": ["L1.3*0"], "controls": 2}),
    ("similar", {"cell": "L1.3", "by": "value"}),
)
"""Of an agent: all that ask the model."""


def say(words: list[str], device: str) -> tuple[int, str, list[str]]:
    """Exit code and output of a command with ``--device``, and on what kinds of devices models ran meanwhile."""
    out, ran = io.StringIO(), set()

    def forward(model: Transformer, *given: Any, **named: Any) -> Any:
        ran.add(model.device.type)
        return _FORWARD(model, *given, **named)

    Transformer.forward = forward  # type: ignore[method-assign] # a fork of its own
    atlas.lay_out = lambda alike, *_, **__: SimpleNamespace(facts={"unit": alike.unit.tolist()})  # type: ignore[assignment]
    atlas.write_atlas = lambda *_: None  # type: ignore[assignment,misc] # the layout has no model
    studying.write_page = lambda _, folder: folder / "report.html"  # type: ignore[attr-defined] # seconds of drawing
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(io.StringIO()) as problems:
        try:
            if words[0] in ("serve", "mcp"):
                out.write(json.dumps((_pages if words[0] == "serve" else _tools)([*words, "--device", device])))
            else:
                app([*words, "--device", device], exit_on_error=False, result_action="return_value")
        except SystemExit as stop:
            return int(stop.code or 0), out.getvalue() + problems.getvalue(), []
        except Exception:  # noqa: BLE001 (any error of a verb is a result that the test compares and shows; this one runs in a fork)
            return -1, traceback.format_exc(), []
    return 0, out.getvalue(), sorted(ran)


def say_on_both(commands: list[tuple[list[str], list[str]]], device: str) -> list[list[tuple[int, str, list[str]]]]:
    """Each command on the CPU, and as it is typed for the device on that."""
    return [[say(here, "cpu"), say(there, device)] for here, there in commands]


def _pages(words: list[str]) -> dict[str, Any]:
    """What the explorer answers that is served."""
    from starlette.testclient import TestClient

    from ffmem.cli.verbs import serve

    served: list[Any] = []
    serve.listen = lambda _, made, *__: served.append(made)  # type: ignore[attr-defined,assignment] # a fork of its own
    app(words, exit_on_error=False, result_action="return_value")
    explorer = served[0].state.explorer
    try:
        explorer.model.wait()
        client = TestClient(served[0], base_url="http://localhost")
        answers = {page: client.get(f"/{page}") for page in PAGES}
        return {page: [one.status_code, one.json()] for page, one in answers.items()}
    finally:
        explorer.model.close()


def _tools(words: list[str]) -> list[Any]:
    """What an agent is answered."""
    from mcp import Client

    from ffmem.agent import serving

    found: list[Any] = []

    async def talk(server: Any) -> None:
        async with Client(server) as client:
            for name, arguments in TOOLS:
                answer = await client.call_tool(name, arguments)
                found.append([answer.is_error, json.loads(answer.content[0].text)])

    serving.MCPServer.run = lambda server, _: asyncio.run(talk(server))  # type: ignore[method-assign,misc,assignment]
    app(words, exit_on_error=False, result_action="return_value")
    return found

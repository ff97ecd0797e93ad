"""The command for programs that speak the Model Context Protocol."""

from contextlib import suppress
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from ffmem.cli.app import FLAT
from ffmem.cli.options import IndexFolder, IndexModelOptions, MovedModel
from ffmem.extras import extra_module


def mcp(
    folder: IndexFolder,
    /,
    *,
    model: MovedModel = None,
    no_model: bool = False,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    writable: bool = False,
    answer_bytes: Annotated[int, Parameter(validator=Number(gte=1_000, lte=1_000_000))] = 16_000,
) -> None:
    """Let a program that speaks the Model Context Protocol ask an index, over standard input and output.

    It is started by such a program: docs/how-to/use-from-an-agent.md. The model is loaded when it is first needed.

    Parameters
    ----------
    no_model
        Offer only what the index itself can answer.
    writable
        Let the program name cells, under a name of its own.
    answer_bytes
        Most bytes of one answer; it says what is left out.
    """
    extra_module("mcp", "mcp", "ffmem mcp")
    from ffmem.agent.model import LazyModel
    from ffmem.agent.serving import make_server  # needs mcp
    from ffmem.agent.tools import Tools
    from ffmem.server.opening import open_explorer

    explorer = open_explorer(folder, with_model=False, read_only=not writable)
    lazy = (
        None
        if no_model
        else LazyModel(
            explorer.index, model, options.threads, device=options.device, trust_remote_code=options.trust_remote_code
        )
    )
    with suppress(KeyboardInterrupt):  # how it may end, too
        make_server(Tools(explorer, lazy, answer_bytes), writable).run("stdio")
    if lazy is not None:
        lazy.close()

"""Commands for the explorer."""

import sys
from contextlib import suppress

from ffmem.cli.app import app
from ffmem.errors import InputError
from ffmem.extras import extra_module


@app.command
def serve(
    folder: str,
    /,
    *compare: str,
    model: str | None = None,
    no_model: bool = False,
    results: str | None = None,
    read_only: bool = False,
    host: str = "127.0.0.1",
    port: int = 8765,
    allow_host: str | None = None,
) -> None:
    """Open the explorer: a page on this machine to browse, search, annotate and question the memories of an index.

    Parameters
    ----------
    folder
        An index.
    compare
        Further indexes of the same model or of another checkpoint, to compare with.
    model
        Where the model is now, if not where it was.
    no_model
        Load no model: everything can be read, and no prompt be tried.
    results
        The folder of a study, if the index has several.
    read_only
        Let nobody annotate.
    host
        Address to listen on. The explorer has no passwords: whoever reaches it can use it.
    port
        Port to listen on; 0: any that is free.
    allow_host
        A further name under which it may be asked, such as that of a proxy in front of it.
    """
    uvicorn = extra_module("uvicorn", "explorer", "ffmem serve")
    extra_module("fastapi", "explorer", "ffmem serve")
    extra_module("jinja2", "explorer", "ffmem serve")
    from ffmem.server.app import make_app
    from ffmem.server.explorer import open_explorer
    from ffmem.server.listen import listen
    from ffmem.server.safety import LOOPBACK

    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}", "Expected 0 to 65535", "Write --port 8765")
    explorer = open_explorer(
        folder, others=compare, model=model, with_model=not no_model, results=results, read_only=read_only
    )
    hosts = (*LOOPBACK, host, *([allow_host] if allow_host else []))

    def say(address: str) -> None:
        print(f"{address}  (Ctrl-C stops it)", flush=True)
        if host not in LOOPBACK:
            print("ffmem: whoever reaches this address can use the explorer, and the model in it", file=sys.stderr)

    with suppress(KeyboardInterrupt):  # how it is meant to end
        listen(uvicorn, make_app(explorer, hosts), host, port, say)

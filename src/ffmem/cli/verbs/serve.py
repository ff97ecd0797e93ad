"""Commands for the explorer."""

import sys
from contextlib import suppress
from typing import Annotated

from ffmem import render
from ffmem.cli.app import FLAT, Count, Json, Some, show
from ffmem.cli.options import IndexFolder, IndexModelOptions, MovedModel
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.server.listen import listen
from ffmem.server.opening import open_explorer
from ffmem.server.safety import LOOPBACK
from ffmem.server.sharing.settings import Sharing, SharingOptions, decide, is_read_only


def serve(
    folder: IndexFolder,
    /,
    *compare: str,
    model: MovedModel = None,
    no_model: bool = False,
    options: Annotated[IndexModelOptions, FLAT] = IndexModelOptions(),  # noqa: B008 (frozen)
    results: str | None = None,
    read_only: bool = False,
    host: str = "127.0.0.1",
    port: int = 8765,
    allow_host: str | None = None,
    sharing: Annotated[SharingOptions, FLAT] = SharingOptions(),  # noqa: B008 (frozen)
) -> None:
    """Open the explorer: a page on this machine to browse, search, annotate and question the memories of an index.

    It can be shared with others, who come in by tokens or through a proxy: docs/how-to/share-an-explorer.md.

    Parameters
    ----------
    compare
        Further indexes of the same model or of another checkpoint, to compare with.
    no_model
        Load no model: everything can be read, but no prompt can be tried.
    results
        The folder of the study to show, if the index has several.
    read_only
        Forbid annotating, naming and collecting.
    host
        Address to listen on. Other than that of this machine, it needs --token-file or --behind-proxy.
    port
        Port to listen on; 0 takes any free one.
    allow_host
        A further host name to accept, such as that of a proxy in front of it; it needs one of these, too.
    """
    uvicorn = extra_module("uvicorn", "explorer", "ffmem serve")
    extra_module("fastapi", "explorer", "ffmem serve")
    extra_module("jinja2", "explorer", "ffmem serve")
    from ffmem.server.app import make_app  # needs fastapi

    if not 0 <= port <= 65535:
        raise InputError(f"--port is {port}", "Expected 0 to 65535", "Write --port 8765")
    shared = decide(sharing, host, allow_host)
    explorer = open_explorer(
        folder,
        others=compare,
        model=model,
        with_model=not no_model,
        threads=options.threads,
        device=options.device,
        trust_remote_code=options.trust_remote_code,
        results=results,
        read_only=is_read_only(sharing, shared, read_only),
    )
    hosts = (*LOOPBACK, host, *([allow_host] if allow_host else []))

    def say(address: str) -> None:
        print(f"{address}  (Ctrl-C stops it)", flush=True)
        if shared.needs_login:
            print(f"ffmem: {_who(shared, explorer.read_only)}", file=sys.stderr)
        if host not in LOOPBACK and shared.proxy is None:
            print("ffmem: what is sent is not encrypted; put a proxy with TLS in front of it", file=sys.stderr)

    with suppress(KeyboardInterrupt):  # how it is meant to end
        listen(uvicorn, make_app(explorer, hosts, shared), host, port, say)


def _who(shared: Sharing, read_only: bool) -> str:
    """Who is let in, in a line."""
    may = "read" if read_only else "read, and write where their token says so"
    if shared.tokens is None:
        return f"visitors whom the proxy names may {'read' if read_only else 'read and write'}"
    names = sorted({one.name for one in shared.tokens.visitors})
    return f"{', '.join(names[:10])}{' and others' if len(names) > 10 else ''} may come in and {may}"


def site(
    folder: IndexFolder,
    /,
    *,
    out: str,
    triggers: Count = 10,
    no_text: bool = False,
    workers: Some = 2,
    json: Json = False,
) -> None:
    """Write the explorer's reading pages as files that work from disk or on any web host, with a search of their own.

    Parameters
    ----------
    out
        A new folder, or that of an earlier site, which is replaced.
    triggers
        Triggers of each cell and sign.
    no_text
        Leave out the text of the corpus, where its licence requires that: only firing tokens, the tokens after them, and a
        hash of each sentence remain.
    workers
        Processes that write pages.
    """
    extra_module("jinja2", "explorer", "ffmem site")
    extra_module("altair", "explorer", "ffmem site")
    from ffmem.site.layer import SiteOptions  # both need jinja2
    from ffmem.site.write import write_site

    say = None if json else render.say("writing the site")

    def progress(done: int, n: int) -> None:
        if say is not None:
            say(f"layer {done} of {n}")

    found = write_site(folder, out, options=SiteOptions(triggers, not no_text), workers=workers, progress=progress)
    told = f"{found.folder}: {found.n_pages:,} pages, {found.n_bytes / 1e6:,.0f} MB. Open {found.folder / 'index.html'}"
    show(found if json else told)

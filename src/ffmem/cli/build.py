"""Commands that make an index."""

from typing import Annotated

from ffmem import queries, render
from ffmem.cli.app import FLAT, app
from ffmem.options import IndexOptions, RunOptions


@app.command
def index(
    model: str,
    corpus: str,
    /,
    *,
    out: str,
    field: str = "text",
    revision: str | None = None,
    options: Annotated[IndexOptions, FLAT] = IndexOptions(),  # noqa: B008 (frozen)
    run: Annotated[RunOptions, FLAT] = RunOptions(),  # noqa: B008 (frozen)
    quiet: bool = False,
) -> None:
    """Index every feed-forward cell of a model over a corpus. The same command again resumes.

    Parameters
    ----------
    model
        A Hugging Face id (or id@revision) or folder, a .gguf file, smollm2 or minilm.
    corpus
        python-docs, a .txt, .jsonl or .parquet file, a pattern of files, hf:NAME, or - for standard input.
    out
        Folder of the index.
    field
        Where the rows of a corpus have fields, the one that holds the text; every other is kept as metadata.
    revision
        Revision of a hub model.
    quiet
        Print neither progress nor summary.
    """
    from ffmem.index.build import build_index

    with render.progress(quiet) as listen:
        built = build_index(
            model, corpus, out, options=options, run=run, field=field, revision=revision, progress=listen
        )
    if not quiet:
        print(render.summary(built, queries.highlights(built)))

"""Commands that make an index."""

from typing import Annotated, Literal

from cyclopts import Parameter

from ffmem import queries, render
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.options import IndexFolder, ModelName, Revision
from ffmem.index.build import build_index
from ffmem.index.merge import merge_indexes
from ffmem.index.plan import plan_index
from ffmem.options import IndexOptions, RunOptions

FLAT_BOTH_WAYS = Parameter(name="*", negative=None)
"""As FLAT, with --no-shared beside --shared: leaving both out is a third choice."""


def index(
    model: ModelName,
    corpus: Annotated[str, Parameter(allow_leading_hyphen=True)],  # "-" is standard input
    /,
    *more: str,
    out: str,
    field: str = "text",
    encoding: str = "utf-8",
    revision: Revision = None,
    extend: str | None = None,
    options: Annotated[IndexOptions, FLAT] = IndexOptions(),  # noqa: B008 (frozen)
    run: Annotated[RunOptions, FLAT_BOTH_WAYS] = RunOptions(),  # noqa: B008 (frozen)
    progress: Literal["text", "json"] = "text",
    quiet: bool = False,
    plan: bool = False,
    json: Annotated[Json, Parameter(help="With --plan: print one JSON document.")] = False,
) -> None:
    """Index every feed-forward cell of a model over a corpus. Running the same command again resumes it.

    Parameters
    ----------
    corpus
        topics, python-docs, a .txt, .jsonl or .parquet file, a pattern of files, hf:NAME, or - for standard input.
    more
        Further corpora, read one after the other.
    out
        Folder of the index.
    extend
        An index to extend: --out becomes the index of its corpora and these, as if all had been read at once; it stays
        as it is.
    field
        Where the rows of a corpus have fields, the one that holds the text; every other is kept as metadata.
    encoding
        Of .txt and .jsonl files, of standard input, and of text stored as bytes: utf-8, utf-16, latin-1, shift_jis, ...
    progress
        How progress is shown on stderr: "text", or "json", an object a line.
    quiet
        Print neither progress nor summary.
    plan
        Build nothing: probe for a minute or so, and show the time, memory and disk space that the build would take.
    """
    if plan:
        corpora = [corpus, *more]
        found = plan_index(
            model, corpora, out, options=options, run=run, field=field, encoding=encoding, revision=revision
        )
        show(found if json else render.plan(found))
        return
    with render.progress(quiet, progress) as listen:
        built = build_index(
            model,
            [corpus, *more],
            out,
            options=options,
            run=run,
            field=field,
            encoding=encoding,
            revision=revision,
            extend=extend,
            progress=listen,
        )
    if not quiet:
        print(render.summary(built, queries.highlights(built)))


def merge(first: IndexFolder, second: str, /, *, out: str, json: Json = False) -> None:
    """Merge two indexes of one model into the index over both corpora. Their order does not matter.

    Parameters
    ----------
    second
        Another index of the same model with the same options, over another corpus.
    out
        Folder of the merged index.
    """
    merged = merge_indexes(first, second, out, progress=None if json else render.say("merging"))
    show(queries.info(merged) if json else render.info(merged))

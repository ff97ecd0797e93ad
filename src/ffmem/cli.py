"""Arguments -> queries -> text. No arithmetic; heavy modules are imported by the commands that need them."""

import json
import re
import sys
import traceback
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Parameter

import ffmem
from ffmem import queries, render
from ffmem.errors import FfmemError, InputError
from ffmem.options import IndexOptions, RunOptions

app = App(
    name="ffmem",
    help="Read a Transformer's feed-forward layers as key-value memories.",
    version=ffmem.__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # main() has a word to say
)

Json = Annotated[bool, Parameter(name="--json")]
_FLAT = Parameter(name="*")


@app.command
def index(
    model: str,
    corpus: Annotated[str, Parameter(allow_leading_hyphen=True)],  # "-" is standard input
    /,
    *,
    out: str,
    field: str = "text",
    revision: str | None = None,
    options: Annotated[IndexOptions, _FLAT] = IndexOptions(),  # noqa: B008 (frozen)
    run: Annotated[RunOptions, _FLAT] = RunOptions(),  # noqa: B008 (frozen)
    quiet: bool = False,
) -> None:
    """Index every feed-forward cell of a model over a corpus. The same command again resumes.

    Parameters
    ----------
    model
        A Hugging Face id or folder, a .gguf file, or smollm2.
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


@app.command
def info(folder: str, /, *, json: Json = False) -> None:
    """Say what an index is: model, corpus, options, counts, certificate.

    Parameters
    ----------
    folder
        An index.
    json
        Print one JSON document.
    """
    opened = ffmem.open_index(folder)
    found = queries.info(opened)
    _print(found if json else render.info(found))


@app.command
def cell(folder: str, cell_id: str, /, *, json: Json = False, triggers: int = 10) -> None:
    """Show a cell: its trigger examples, its statistics, the tokens its value promotes and suppresses.

    Parameters
    ----------
    folder
        An index.
    cell_id
        For example L9.2997: layer 9, index 2997, both from 0.
    json
        Print one JSON document, with every trigger.
    triggers
        How many triggers of each sign to show.
    """
    found = queries.cell(ffmem.open_index(folder), cell_id)
    _print(found.to_json() if json else render.cell(found, triggers))


@app.command
def cells(
    folder: str, /, *, layer: int | None = None, sort: queries.SortKey = "index", limit: int = 20, json: Json = False
) -> None:
    """Show a table of cells by a statistic.

    Parameters
    ----------
    folder
        An index.
    layer
        Only this layer.
    sort
        Largest first, but min and index: smallest first. top is the coefficient of the last trigger kept.
    limit
        At most this many rows.
    json
        Print one JSON document.
    """
    rows = queries.cells(ffmem.open_index(folder), layer=layer, sort=sort, limit=limit)
    _print([row.to_json() for row in rows] if json else render.cells(rows))


@app.command
def verify(
    folder: str,
    /,
    *,
    files_only: bool = False,
    model: str | None = None,
    batches: int = 3,
    seed: int = 0,
    json: Json = False,
) -> None:
    """Check every file of an index, and a sample of its triggers against the model. Exit 1 if anything is wrong.

    Parameters
    ----------
    folder
        An index.
    files_only
        Leave the model out.
    model
        Where the model is now, if not where it was.
    batches
        Batches of sentences to run again.
    seed
        Which batches.
    json
        Print one JSON document.
    """
    from ffmem.index.verify import verify_index

    opened = ffmem.open_index(folder)
    say = None if json else render.say
    found = verify_index(opened, with_model=not files_only, model=model, n_batches=batches, seed=seed, progress=say)
    _print(found.to_json() if json else render.verification(found))
    if found.problems:
        sys.exit(1)


def _print(value: Any) -> None:
    sys.stdout.write(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))
    sys.stdout.write("\n")


def main() -> None:
    """Entry point: exit 2 for what the user can mend, 1 for other errors, 130 for Ctrl-C."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    try:
        app(arguments, exit_on_error=False)
    except CycloptsError:  # it has been printed
        sys.exit(2)
    except FfmemError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        print(f"ffmem: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        print("ffmem: stopped. The same command goes on from the last checkpoint.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `ffmem cells ... | head`
        sys.stderr.close()
        sys.exit(141)


def reference() -> str:
    """The command reference, docs/reference/cli.md, made from the commands themselves."""
    text: str = app.generate_docs(output_format="markdown")
    # started as `python -m something`, cyclopts puts that into the usage lines
    return re.sub(r"^(ffmem(?: \w+)?) -m \S+ ", r"\1 ", text.rstrip(), flags=re.MULTILINE) + "\n"

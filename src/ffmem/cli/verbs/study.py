"""Commands that run the paper's experiments."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated, Any

import ffmem
from ffmem import render
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.options import Threads, TrustCode
from ffmem.errors import InputError
from ffmem.options import IndexOptions, RunOptions
from ffmem.studies.geva2021.findings import Findings, findings
from ffmem.studies.geva2021.headlines import headlines, shapes
from ffmem.studies.geva2021.options import FULL, StudyOptions
from ffmem.studies.results import open_results


def reproduce(
    source: str,
    corpus: str | None = None,
    /,
    *more: str,
    out: str | None = None,
    options: Annotated[StudyOptions, FLAT] = StudyOptions(),  # noqa: B008 (frozen)
    full: bool = False,
    model: str | None = None,
    threads: Threads = 1,
    trust_remote_code: TrustCode = False,
    max_tokens: int | None = None,
    encoding: str = "utf-8",
    quiet: bool = False,
    json: Json = False,
) -> None:
    """Run every experiment of Geva et al. 2021, and write one page about them. Running the same command again resumes it.

    Parameters
    ----------
    source
        An index; or a model, as for `ffmem index`, with a corpus.
    corpus
        topics, python-docs, a file, ...: builds the index first, or resumes building it.
    more
        Further corpora.
    out
        Folder of the index that is made.
    full
        As many changed triggers as in the paper (100 cells x 50 a layer), and every cell's patterns on held-out text.
    model
        Where the model of the index is now, if it has moved since the build.
    max_tokens
        Of the index that is made: stop before it has more tokens than this.
    encoding
        Of files of text that are read, as for `ffmem index`.
    quiet
        Print no progress.
    json
        Print the numbers as one JSON document.
    """
    from ffmem.extras import extra_module

    for package in ("altair", "vl_convert", "jinja2"):
        extra_module(package, "report", "the page cannot be written")
    if full:
        options = replace(options, **FULL)  # type: ignore[arg-type]
    corpora = [] if corpus is None else [corpus, *more]
    built = IndexOptions(max_tokens=max_tokens), RunOptions(trust_remote_code=trust_remote_code)
    index = _built(source, corpora, out, built, encoding, quiet) if corpora else ffmem.open_index(source)
    from ffmem.studies.geva2021.report import write_report
    from ffmem.studies.geva2021.run import reproduce as run

    with render.study_progress(quiet) as listen:
        results = run(
            index,
            options,
            model=model,
            threads=threads,
            trust_remote_code=trust_remote_code,
            encoding=encoding,
            progress=listen,
        )
    page = write_report(results, index)
    found = findings(results, index)
    show(_as_json([found]) | {"page": str(page)} if json else render.study(found, page))


def _built(
    model: str,
    corpora: list[str],
    out: str | None,
    options: tuple[IndexOptions, RunOptions],
    encoding: str,
    quiet: bool,
) -> ffmem.Index:
    from ffmem.index.build import build_index

    if out is None:
        raise InputError(
            f"{model} with the corpus {corpora[0]} makes an index, but no folder is given for it",
            "Expected --out FOLDER",
            f"Write: ffmem reproduce {model} {' '.join(corpora)} --out runs/study",
        )
    with render.progress(quiet) as listen:
        return build_index(model, corpora, out, options=options[0], run=options[1], encoding=encoding, progress=listen)


def compare(first: str, /, *more: str, markdown: bool = False, json: Json = False) -> None:
    """Compare studies: the paper's numbers and those of one or more studies, side by side.

    Parameters
    ----------
    first
        An index that `ffmem reproduce` has studied, or a folder of results.
    more
        Others.
    markdown
        Print tables in Markdown.
    json
        Print one JSON document.
    """
    studied = [open_results(folder) for folder in (first, *more)]
    found = [findings(results, ffmem.open_index(_index_of(results.folder))) for results in studied]
    show(_as_json(found) if json else render.comparison(found, markdown=markdown))


def _index_of(results: Path) -> Path:
    """The folder of the index that results lie beside."""
    return results.resolve().parent.parent


def _as_json(studies: list[Findings]) -> dict[str, Any]:
    return {
        "studies": [
            {
                "model": found.model,
                "corpus": found.corpus,
                "options": found.header["options"],
                "numbers": [asdict(one) for one in headlines(found)],
                "shapes": [asdict(one) for one in shapes(found)],
            }
            for found in studies
        ]
    }

"""Studies by the names that their commands had before `ffmem study`, and studies side by side."""

from dataclasses import asdict, replace
from typing import Annotated

from ffmem import render
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.studying import StudyRun, run_named
from ffmem.studies.geva2021.options import FULL, StudyOptions
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, AttentionFindings
from ffmem.studies.kobayashi2020.study import write_results
from ffmem.studies.markdown import claims_table, numbers_table
from ffmem.studies.markdown import markdown as as_markdown
from ffmem.studies.report import report_of
from ffmem.studies.results import open_results
from ffmem.studies.study import study_named


def reproduce(
    source: str,
    /,
    *corpus: str,
    options: Annotated[StudyOptions, FLAT] = StudyOptions(),  # noqa: B008 (frozen)
    full: bool = False,
    run: Annotated[StudyRun, FLAT] = StudyRun(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Run every experiment of Geva et al. 2021, and write one page about them: `ffmem study geva2021` by its short name.

    Parameters
    ----------
    source
        An index; or a model, as for `ffmem index`, with a corpus.
    corpus
        topics, python-docs, a file, ...: builds the index first, or resumes it. Several may be given.
    full
        As many changed triggers as in the paper (100 cells x 50 a layer), and every cell's patterns on held-out text.
    """
    options = replace(options, **FULL) if full else options
    report, page = run_named(study_named("geva2021"), source, corpus, options, run)
    show({"studies": [report.to_json()], "page": str(page)} if json else render.study(report, page))


def reproduce_attention(
    model: str,
    /,
    *corpus: str,
    study: Annotated[AttentionOptions, FLAT] = AttentionOptions(),  # noqa: B008 (frozen)
    run: Annotated[StudyRun, FLAT] = StudyRun(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Run the experiments of Kobayashi et al. 2020 on a model and a corpus: `ffmem study kobayashi2020` by another name.

    Parameters
    ----------
    model
        A model as for `ffmem index`, or an index.
    corpus
        topics, python-docs, a file, ..., as for `ffmem index`.
    """
    report, page = run_named(study_named("kobayashi2020"), model, corpus, study, run)
    findings = open_results(page.parent).load(EXPERIMENT, AttentionFindings)
    write_results(findings, page.parent)
    show(asdict(findings) | {"page": str(page)} if json else render.study(report, page))


def compare(first: str, /, *more: str, markdown: bool = False, json: Json = False) -> None:
    """The paper's numbers and those of one or more studies of it, side by side.

    Parameters
    ----------
    first
        An index with the results of a study, or a folder of results.
    more
        Others.
    markdown
        Print tables in Markdown.
    """
    reports = [report_of(open_results(folder)) for folder in (first, *more)]
    draw = as_markdown if markdown else render.table
    tables = [rows for rows in (numbers_table(reports), claims_table(reports)) if len(rows) > 1]
    show({"studies": [one.to_json() for one in reports]} if json else "\n\n".join(map(draw, tables)))

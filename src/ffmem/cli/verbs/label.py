"""The command that lets a language model name cells."""

from typing import Annotated

import ffmem
from ffmem import render
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.labelling import LabelRun, plan_run, run_labels
from ffmem.cli.options import IndexFolder
from ffmem.errors import InputError


def label(
    folder: IndexFolder,
    /,
    *,
    server: str,
    model: str,
    run: Annotated[LabelRun, FLAT] = LabelRun(),  # noqa: B008 (frozen)
    markdown: bool = False,
    json: Json = False,
) -> None:
    """Let a language model name cells, and another or the same one judge the names, with fake cells and wrong names among them.

    Every answer is kept beside the index: the same command again resumes, and pays for nothing twice.

    Parameters
    ----------
    server
        Any server that speaks OpenAI's chat completions (llama.cpp, vLLM, Ollama, ...): http://127.0.0.1:8080/v1.
    model
        The model's name there.
    markdown
        Print the report as Markdown.
    """
    index = ffmem.open_index(folder)
    if run.plan:
        found = plan_run(index, server, model, run)
        show(found if json else render.label_plan(found))
        return
    report, about = run_labels(index, server, model, run)
    show(report.to_json() | about if json else render.label_report(report, about, markdown=markdown))
    if report.stopped:
        raise InputError(
            "the run ended before its end",
            "Expected all units to be named and judged",
            "Mend what is said above, and give the same command again: what was answered is kept",
        )

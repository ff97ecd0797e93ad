"""What a model has memorised of its training text."""

from typing import Annotated

from ffmem import render
from ffmem.cli.app import FLAT, Json, show
from ffmem.cli.studying import StudyRun, run_named
from ffmem.studies.carlini2021.options import AuditOptions
from ffmem.studies.study import study_named


def audit(
    model: str,
    /,
    *,
    options: Annotated[AuditOptions, FLAT] = AuditOptions(),  # noqa: B008 (frozen)
    run: Annotated[StudyRun, FLAT] = StudyRun(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """What a model has memorised of its training text, and which cells recall it: `ffmem study carlini2021` by a short name.

    Parameters
    ----------
    model
        A causal model as for `ffmem index`, or an index of one.
    """
    report, page = run_named(study_named("carlini2021"), model, (), options, run)
    show(report.to_json() | {"page": str(page)} if json else render.study(report, page))

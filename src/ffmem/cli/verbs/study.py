"""Run the experiments of a paper on a model, and write one page about them: `ffmem study list` names the studies."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App

from ffmem import render
from ffmem.cli.app import FLAT, Json, app, show
from ffmem.cli.studying import StudyRun, run_named
from ffmem.studies.document import put_into
from ffmem.studies.markdown import report_as_markdown
from ffmem.studies.report import report_of
from ffmem.studies.results import open_results
from ffmem.studies.study import Study, study_named, study_names

study = App(
    name="study",
    help=__doc__,
    default_parameter=app.default_parameter,  # commands inherit it, the reference does not
)


@study.command(name="list")
def list_(*, json: Json = False) -> None:
    """Name the studies, and the papers that they are of."""
    studies = [study_named(name) for name in study_names()]
    rows = [{"name": one.name, "about": one.kicker, "paper": one.paper} for one in studies]
    show(rows if json else "\n".join(f"{one.name:16} {one.kicker}: {one.paper}" for one in studies))


@study.command
def markdown(first: str, /, *more: str, into: Path | None = None) -> None:
    """Write the numbers, claims and costs of one study, or of several side by side, as Markdown.

    Parameters
    ----------
    first
        An index with the results of one study, or a folder of results.
    more
        Further ones, of the same study.
    into
        A page whose lines between "<!-- tables -->" and "<!-- end of tables -->" are replaced by these.
    """
    text = report_as_markdown([report_of(open_results(folder)) for folder in (first, *more)])
    if into is None:
        show(text)
    else:
        put_into(into, text)


def _verb_of(of: Study[Any]) -> Callable[..., None]:
    """The command of a study, whose options are the study's own and those of every study."""

    def run(source: str, /, *texts: str, options: Any = None, run: StudyRun = StudyRun(), json: bool = False) -> None:  # noqa: B008 (frozen)
        report, page = run_named(of, source, texts, options or of.options(), run)
        show(report.to_json() | {"page": str(page)} if json else render.study(report, page))

    signature = inspect.signature(run)
    options = Annotated[of.options, FLAT]  # type: ignore[name-defined] # each study has options of its own
    types = {"options": options, "run": Annotated[StudyRun, FLAT], "json": Json}
    defaults = {"options": of.options()}
    run.__annotations__ |= types
    run.__signature__ = signature.replace(  # type: ignore[attr-defined] # what cyclopts reads
        parameters=[
            one.replace(annotation=types.get(name, one.annotation), default=defaults.get(name, one.default))
            for name, one in signature.parameters.items()
        ]
    )
    run.__doc__ = f"""{of.kicker}: {of.paper}. Running the same command again resumes it.

    Parameters
    ----------
    source
        {of.source_help}
    texts
        {of.texts_help}
    """
    return run


for _name in study_names():
    study.command(_verb_of(study_named(_name)), name=_name)

"""Runs a study: experiment after experiment, each kept when it is done, so that what is finished is not done again."""

import time
from typing import Any

from ffmem.studies.checkpoint import part_of
from ffmem.studies.results import COSTS, HEADER, Findings, Results
from ffmem.studies.study import Experiment, Stage, StageListener, Study, Subject, study_named


def run_study(
    study: Study[Any], subject: Subject, options: Any = None, progress: StageListener = lambda _: None
) -> Results:
    """Every experiment of a study that its subject can be asked.

    Args:
        study: which.
        subject: what is studied.
        options: of this study: an instance of `Study.options`; by default what those are by default.
        progress: called as the study goes on.

    Returns:
        the results; the same call again reads them, and goes on from where an earlier one was stopped.

    Raises:
        InputError: the subject lacks something that the study needs.
    """
    shared = study.begin(subject, study.options() if options is None else options, progress)
    results: Results = shared.results
    costs = results.load(COSTS, dict[str, float]) if COSTS in results else {}
    for experiment in _experiments(study, shared):
        if experiment.name in results:
            progress(Stage(experiment.name, 1, 1))
        else:
            begin = time.monotonic()
            progress(Stage(experiment.name, 0, 0))
            results.save(experiment.name, experiment.run(shared, progress))
            results.drop_arrays(part_of(experiment.name))
            costs[experiment.name] = round(time.monotonic() - begin, 1)
            results.save(COSTS, costs)
        if experiment.parts:
            for path in results.folder.glob(f"{experiment.parts}*"):
                path.unlink()
    return results


def _experiments(study: Study[Any], shared: Any) -> list[Experiment[Any]]:
    return [one for chapter in study.chapters for one in chapter.experiments(shared)]


def findings_of(results: Results) -> Findings:
    """All results of a study that are there, finished or not.

    Raises:
        StoreError: one of them is damaged.
    """
    study = study_named(results.study)
    names = sorted(path.stem for path in results.folder.glob("*.json") if path.name != HEADER)
    types = {name: result for name in names if (result := study.result_type(name)) is not None}
    return Findings(
        header=results.header,
        folder=results.folder,
        values={name: results.load(name, result) for name, result in types.items()},
        costs=results.load(COSTS, dict[str, float]) if COSTS in results else {},
    )

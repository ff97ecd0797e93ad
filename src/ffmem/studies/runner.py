"""Runs a study: experiment after experiment, each kept when it is done, so that what is finished is not done again."""

import os
import time
from dataclasses import replace
from typing import Any

from ffmem.errors import InputError
from ffmem.studies.checkpoint import part_of
from ffmem.studies.controls import Control, Made, controls_made, keep_made, results_of_control
from ffmem.studies.results import COSTS, HEADER, Findings, Results
from ffmem.studies.study import Experiment, Stage, StageListener, Study, Subject, study_named


def run_study(
    study: Study[Any],
    subject: Subject,
    options: Any = None,
    progress: StageListener = lambda _: None,
    *,
    controls: bool = True,
) -> Results:
    """Every experiment of a study that its subject can be asked, then the same of each control.

    Args:
        study: which.
        subject: what is studied.
        options: of this study: an instance of `Study.options`; by default what those are by default.
        progress: called as the study goes on.
        controls: whether controls are studied; a later call with them goes on from one without.

    Returns:
        the results; the same call again reads them, and goes on from where an earlier one was stopped.

    Raises:
        InputError: the subject lacks something that the study needs.
    """
    shared = study.begin(subject, study.options() if options is None else options, progress)
    results: Results = shared.results
    _run_experiments(study, shared, progress)
    made = controls_made(results)
    for control in study.controls if controls else ():
        made[control.name] = _run_control(study, control, shared, progress)
        keep_made(results, made)
    return results


def _run_control(study: Study[Any], control: Control[Any], shared: Any, progress: StageListener) -> Made:
    def listen(stage: Stage) -> None:
        progress(replace(stage, experiment=f"{control.name}: {stage.experiment}"))

    try:
        instead = control.begin(shared, listen)
    except InputError as error:
        return Made(why_not=str(error))
    _run_experiments(study, instead, listen)
    return Made(folder=os.path.relpath(instead.results.folder, shared.results.folder))


def _run_experiments(study: Study[Any], shared: Any, progress: StageListener) -> None:
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
    made = controls_made(results)
    of_controls = {name: results_of_control(results, one) for name, one in made.items()}
    return Findings(
        header=results.header,
        folder=results.folder,
        values={name: results.load(name, result) for name, result in types.items()},
        costs=results.load(COSTS, dict[str, float]) if COSTS in results else {},
        controls={name: findings_of(one) for name, one in of_controls.items() if one is not None},
        controls_missing={name: one.why_not for name, one in made.items() if one.why_not},
    )

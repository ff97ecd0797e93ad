"""Where the results of a study's controls are, or why there are none."""

from pathlib import Path

from ffmem.studies.controls import Made, controls_made, keep_made, results_of_control
from ffmem.studies.results import Results, begin_results

HEADER = {"study": "geva2021", "index": {"model": {"name": "m"}, "corpus": {"name": "c"}}, "options": {}}


def results(folder: Path) -> Results:
    return begin_results(folder, HEADER)


def test_what_was_made_is_read_back(tmp_path: Path) -> None:
    study = results(tmp_path)
    assert controls_made(study) == {}
    made = {"untrained": Made("controls/untrained/results/ab"), "shuffled": Made(why_not="there is no such model")}
    keep_made(study, made)
    assert controls_made(study) == made


def test_the_results_of_a_control_are_found_from_the_folder_of_the_study(tmp_path: Path) -> None:
    study = results(tmp_path)
    control = results(study.folder / "controls" / "untrained")
    there = Made(control.folder.relative_to(study.folder).as_posix())
    found = results_of_control(study, there)
    assert found is not None and found.folder == control.folder and found.key == control.key
    moved = tmp_path / "moved"
    study.folder.rename(moved)
    again = results_of_control(Results(moved, study.header), there)
    assert again is not None and again.folder.is_relative_to(moved)


def test_a_control_that_is_not_there_or_damaged_is_none(tmp_path: Path) -> None:
    study = results(tmp_path)
    assert results_of_control(study, Made(why_not="no")) is None
    assert results_of_control(study, Made("controls/gone")) is None
    damaged = study.folder / "controls" / "damaged"
    damaged.mkdir(parents=True)
    (damaged / "study.json").write_text("{")
    assert results_of_control(study, Made("controls/damaged")) is None

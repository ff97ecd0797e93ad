"""A study of three experiments, in a folder of its own: what is done is not done again, and parts go on."""

import hashlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import ffmem.studies
from ffmem import InputError
from ffmem.studies.report import report_of
from ffmem.studies.runner import findings_of, run_study
from ffmem.studies.study import Stage, Study, Subject, study_named, study_names

STUDY = """
from dataclasses import asdict, dataclass
from ffmem.errors import InputError
from ffmem.studies.controls import Control
from ffmem.studies.results import Results, begin_results
from ffmem.studies.study import Study

@dataclass(frozen=True)
class Options:
    n: int = 3

    def to_json(self):
        return asdict(self)

@dataclass(frozen=True)
class Shared:
    results: Results
    options: Options

def begin(subject, options, progress):
    return Shared(begin_results(subject.folder, {"study": "toy", "index": {"model": {"name": "m"}, "corpus": {"name": "c"}},
                                                 "options": options.to_json()}), options)

def nothing(shared, listen):
    if shared.options.n == 13:
        raise InputError("13 brings bad luck", "Expected another number", "Take 12")
    results = begin_results(shared.results.folder / "controls" / "nothing", shared.results.header | {"options": {"n": 1}})
    return Shared(results, Options(1))

STUDY = Study("toy", "Toys", "Nobody, 2026", "Three toys.", "No note.", Options, begin, lambda _: [("toys", "3")],
              (Control("nothing", "the same of n = 1", nothing, says_nothing=True),))
"""
CHAPTER = """
from dataclasses import dataclass
from ffmem.studies.exhibit import Exhibit, Number
from ffmem.studies.study import Chapter, Experiment, Stage

DONE = []

@dataclass(frozen=True)
class Sum:
    total: int

def run(name):
    def experiment(shared, progress):
        for i in range(shared.options.n):
            part = f"{name}-part-{i}"
            if part not in shared.results:
                DONE.append(part)
                shared.results.save(part, Sum(i))
            progress(Stage(name, i + 1, shared.options.n))
        return Sum(sum(shared.results.load(f"{name}-part-{i}", Sum).total for i in range(shared.options.n)))
    return Experiment(name, Sum, experiment, parts=f"{name}-part-")

CHAPTER = Chapter(
    1, lambda shared: [run("a"), run("b"), run("c")], {"a": Sum, "b": Sum, "c": Sum},
    (Exhibit(2, "Second", "t", "q", "d", "c", lambda found: "c" in found.values, lambda found: "last", lambda found: "all"),
     Exhibit(1, "First", "t", "q", "d", "c", lambda found: "b" in found.values,
             lambda found: f"b is {found.get('b', Sum).total}", lambda found: "all",
             numbers=lambda found: [Number("b", "-", found.get("b", Sum).total, unit="")])),
)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Study[Any], ModuleType]]:
    package = tmp_path / "studies" / "toy"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "study.py").write_text(STUDY)
    (package / "sums.py").write_text(CHAPTER)
    monkeypatch.setattr(ffmem.studies, "__path__", [*ffmem.studies.__path__, str(tmp_path / "studies")])
    study = study_named("toy")
    assert study.chapters
    yield study, sys.modules["ffmem.studies.toy.sums"]
    for name in [name for name in sys.modules if name.startswith("ffmem.studies.toy")]:
        del sys.modules[name]
    del ffmem.studies.toy  # type: ignore[attr-defined] # set by the import of the study


def no_model() -> Any:
    raise AssertionError("nobody needs it")


def contents(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir() if path.stem != "costs"
    }


class Stopped(Exception):  # noqa: N818 (stands for Ctrl-C, not for an error)
    pass


def test_a_stopped_study_goes_on_and_comes_to_the_same(toy: tuple[Study[Any], ModuleType], tmp_path: Path) -> None:
    study, chapter = toy

    def stop(now: Stage) -> None:
        if now == Stage("b", 2, 3):
            raise Stopped

    with pytest.raises(Stopped):
        run_study(study, Subject(no_model, tmp_path / "one"), progress=stop, controls=False)
    assert chapter.DONE == ["a-part-0", "a-part-1", "a-part-2", "b-part-0", "b-part-1"]
    chapter.DONE.clear()
    seen: list[Stage] = []
    results = run_study(study, Subject(no_model, tmp_path / "one"), progress=seen.append, controls=False)
    assert chapter.DONE == ["b-part-2", "c-part-0", "c-part-1", "c-part-2"]
    assert [now for now in seen if now.experiment == "a"] == [Stage("a", 1, 1)]
    assert not list(results.folder.glob("*-part-*"))
    whole = run_study(study, Subject(no_model, tmp_path / "two"), controls=False)
    assert contents(results.folder) == contents(whole.folder) and set(findings_of(whole).costs) == {"a", "b", "c"}


def test_what_there_is_is_told_in_the_order_of_the_page(toy: tuple[Study[Any], ModuleType], tmp_path: Path) -> None:
    study, _ = toy
    results = run_study(study, Subject(no_model, tmp_path / "one"), study.options(n=2), controls=False)
    report = report_of(results)
    assert [(one.name, one.reading) for one in report.sections] == [("First", "b is 1"), ("Second", "last")]
    assert [(name, number.ours) for name, number in report.numbers] == [("First", 1)]
    assert (report.title, report.facts) == ("m on c", (("toys", "3"),))
    (results.folder / "c.json").unlink()
    assert [one.name for one in report_of(results).sections] == ["First"]


def test_a_study_is_found_by_being_there(toy: tuple[Study[Any], ModuleType]) -> None:
    assert {"geva2021", "kobayashi2020", "alignment", "toy"} <= set(study_names())
    with pytest.raises(InputError, match="there is no study 'geva1921'"):
        study_named("geva1921")


def test_a_control_stands_beside_what_it_is_held_against(toy: tuple[Study[Any], ModuleType], tmp_path: Path) -> None:
    study, chapter = toy
    seen: list[Stage] = []
    results = run_study(study, Subject(no_model, tmp_path / "one"), progress=seen.append)
    assert [now.experiment for now in seen if now.total == 1][-1] == "nothing: c"
    findings = findings_of(results)
    assert set(findings.controls) == {"nothing"} and set(findings.controls["nothing"].values) == {"a", "b", "c"}
    report = report_of(results)
    (beside,) = report.controls
    assert beside.numbers[("First", "b")].ours == 0 and dict(report.numbers)["First"].ours == 3
    assert dict(report.facts)["control: nothing"] == "the same of n = 1; n 1"
    chapter.DONE.clear()
    run_study(study, Subject(no_model, tmp_path / "one"))
    assert chapter.DONE == []  # nothing is done twice


def test_a_study_without_controls_goes_on_with_them(toy: tuple[Study[Any], ModuleType], tmp_path: Path) -> None:
    study, chapter = toy
    results = run_study(study, Subject(no_model, tmp_path / "one"), controls=False)
    assert not report_of(results).controls
    chapter.DONE.clear()
    assert run_study(study, Subject(no_model, tmp_path / "one")).folder == results.folder
    assert chapter.DONE == ["a-part-0", "b-part-0", "c-part-0"] and report_of(results).controls


def test_a_control_that_cannot_be_made_is_told_and_the_study_stands(
    toy: tuple[Study[Any], ModuleType], tmp_path: Path
) -> None:
    study, _ = toy
    results = run_study(study, Subject(no_model, tmp_path / "one"), study.options(n=13))
    report = report_of(results)
    assert not report.controls and len(report.sections) == 2
    assert report.left_out == ("No control 'nothing': 13 brings bad luck. Expected another number. Take 12.",)


def test_every_study_has_a_control_with_nothing_learned() -> None:
    for name in study_names():
        study = study_named(name)
        assert any(one.says_nothing for one in study.controls) != bool(study.begins_untrained), name

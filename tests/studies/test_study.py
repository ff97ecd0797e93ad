"""A study is there by being there, and its chapters and exhibits come in the order that they say."""

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import ffmem.studies
from ffmem.errors import InputError
from ffmem.studies.study import Chapter, Study, no_experiments, study_named, study_names

CHAPTER = """from ffmem.studies.study import Chapter, no_experiments

CHAPTER = Chapter({order}, no_experiments, {{"{result}": {type}}}, ())
"""


def test_every_folder_with_a_study_is_one_under_the_name_of_its_folder() -> None:
    folder = Path(ffmem.studies.__path__[0])
    names = sorted(path.name for path in folder.iterdir() if (path / "study.py").is_file())
    assert study_names() == names and len(names) >= 4
    for name in names:
        study = study_named(name)
        assert study.name == name and study.paper and study.kicker
        orders = [chapter.order for chapter in study.chapters]
        assert orders == sorted(orders) and len(orders) == len(set(orders))
    with pytest.raises(InputError, match=rf"there is no study 'geva'\. Expected one of: {', '.join(names)}\."):
        study_named("geva")


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Study[Any]:
    """A study in a folder of its own, with two chapters and a file that is none."""
    folder = tmp_path / "made2099"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "a_second.py").write_text(CHAPTER.format(order=2, result="part-", type="int"))
    (folder / "z_first.py").write_text(CHAPTER.format(order=1, result="part", type="str"))
    (folder / "helper.py").write_text("X = 1\n")
    (folder / "study.py").write_text("STUDY = 'the study'\n")
    monkeypatch.setattr(ffmem.studies, "__path__", [*ffmem.studies.__path__, str(tmp_path)])
    return replace(study_named("geva2022"), name="made2099")


def test_a_new_folder_is_a_new_study_and_its_files_are_its_chapters(made: Study[Any]) -> None:
    assert "made2099" in study_names() and study_named("made2099") == "the study"
    assert [chapter.order for chapter in made.chapters] == [1, 2]
    assert made.result_type("part") is str
    assert made.result_type("part-L3") is int  # what a name that ends in "-" begins
    assert made.result_type("parts") is None and made.result_type("pa") is None


@dataclass(frozen=True)
class Shown:
    name: str
    order: float
    there: bool = True

    def applies(self, _: object) -> bool:
        return self.there


def test_exhibits_come_in_the_order_of_the_page_whatever_chapter_they_are_of(monkeypatch: pytest.MonkeyPatch) -> None:
    pages: list[Any] = [
        (Shown("second", 2), Shown("missing", 1, False)), (Shown("first", 1.5), Shown("third", 3)),
    ]  # fmt: skip
    chapters = tuple(Chapter(order, no_experiments, {}, shown) for order, shown in enumerate(pages))
    monkeypatch.setattr(Study, "chapters", chapters)
    study = study_named("geva2022")
    findings: Any = SimpleNamespace(subject="the model")
    assert [one.name for one in study.exhibits(findings)] == ["first", "second", "third"]
    assert no_experiments("anything") == ()

"""What a study is: a paper's experiments, what each finds, and the exhibits made of that. Each folder beside this file is one.

A study's folder has a ``study.py`` with ``STUDY``. Its chapters are the other files there with a ``CHAPTER``: an experiment or
more, and the exhibits that show what came of them. So a new figure is its analysis and a chapter; a new study is a folder.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

import ffmem.studies
from ffmem.corpus.documents import Corpus
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.store.reader import Index
from ffmem.studies.controls import Control
from ffmem.studies.exhibit import Exhibit
from ffmem.studies.results import Findings, Results

if TYPE_CHECKING:  # what a study came to is read without a model library
    from ffmem.models.transformer import Transformer


class Options(Protocol):
    """What decides what a study finds; a frozen dataclass."""

    def to_json(self) -> JsonObject:
        """As plain JSON values, in the order of definition."""
        ...


@dataclass(frozen=True)
class Stage:
    """How far a study is."""

    experiment: str
    done: int
    total: int
    """Layers, prefixes, texts, ...: as many as the experiment has; 0: not known."""


StageListener = Callable[[Stage], None]


@dataclass(frozen=True)
class Subject:
    """What is studied, as a user named it; a study refuses what it has no use for, or lacks."""

    model: Callable[[], "Transformer"]
    """Loads it; a study that has all its results never asks."""
    folder: Path
    """Where results go if there is no index for them to lie beside."""
    index: Index | None = None
    corpora: Sequence[Corpus] = ()
    texts: Sequence[str] = ()
    """The names of the corpora, for a study that reads files of its own kind."""
    encoding: str = "utf-8"
    """Of files of text that options name."""
    source: str | None = None
    """Where the model of the index is, if not where the index had it from."""
    trust_remote_code: bool = False
    """Whether Python code that comes with the model may be run."""
    device: str | None = None
    """Where models of indexes are put; None: where an index was built, or on the CPU of a machine that lacks it."""


class Context(Protocol):
    """What the experiments of a study share: made by `Study.begin`, and handed to each of them."""

    @property
    def results(self) -> Results:
        """Where what they find is kept."""
        ...


Shared = TypeVar("Shared", bound=Context, contravariant=True)


@dataclass(frozen=True)
class Experiment(Generic[Shared]):
    """Something that is measured."""

    name: str
    """Of its result, and of the file that keeps it."""
    result: type
    """A frozen dataclass: it goes to disk and comes back as the same."""
    run: Callable[[Shared, StageListener], Any]
    """Gives the result. It may keep parts of its own in the results, so that a run that was stopped goes on."""
    parts: str = ""
    """What the names of such files begin with: they are deleted when the result is there."""


@dataclass(frozen=True)
class Chapter(Generic[Shared]):
    """Experiments that belong together, and the exhibits made of them."""

    order: float
    """When its experiments run, among those of the study."""
    experiments: Callable[[Shared], Iterable[Experiment[Shared]]]
    """Those that this subject can be asked."""
    results: dict[str, type]
    """Result types by the name of the experiment, or by the beginning of its name if that ends in "-"."""
    exhibits: tuple[Exhibit[Findings], ...]


def no_experiments(_: Any) -> tuple[()]:
    """Of a chapter whose exhibits show what another chapter measures."""
    return ()


@dataclass(frozen=True)
class Study(Generic[Shared]):
    """The experiments of a paper."""

    name: str
    """As a user types it; its folder has the same."""
    kicker: str
    """What it is about, in a line above the title."""
    paper: str
    """Authors, venue and year."""
    intro: str
    note: str
    """How to read its numbers."""
    options: type
    """A frozen dataclass that is an `Options`."""
    begin: Callable[[Subject, Any, StageListener], Shared]
    """From the subject and the options to what the experiments share.

    Raises:
        InputError: the subject lacks something.
    """
    facts: Callable[[Findings], Iterable[tuple[str, str]]]
    """What was studied, as names and values."""
    controls: tuple[Control[Shared], ...]
    """What stands beside each of its numbers."""
    source_help: str = "An index; or a model, as for `ffmem index`, with a corpus."
    """What its command says of what is studied."""
    texts_help: str = "topics, python-docs, a file, ..., as for `ffmem index`; none if an index is given."
    needs_index: bool = False
    """Whether it is about the memories of an index, so that one is built of a model and a corpus."""
    left_out: Callable[[Findings], Iterable[str]] = lambda _: ()
    """What this subject cannot be asked, in words."""
    title: Callable[[Findings], str] = lambda findings: findings.subject
    begins_untrained: str = ""
    """Why no control has nothing learned: what is studied begins with a model that has not, and its numbers stand first."""

    @property
    def chapters(self) -> tuple[Chapter[Shared], ...]:
        """In the order in which their experiments run: every file of the study's folder that has a ``CHAPTER``."""
        return _chapters(self.name)

    def result_type(self, experiment: str) -> type | None:
        """What an experiment gives; None if no chapter knows it."""
        for chapter in self.chapters:
            for name, result in chapter.results.items():
                if experiment == name or (name.endswith("-") and experiment.startswith(name)):
                    return result
        return None

    def exhibits(self, findings: Findings) -> list[Exhibit[Findings]]:
        """Those that there are results for, in the order of the page."""
        every = [one for chapter in self.chapters for one in chapter.exhibits]
        return sorted((one for one in every if one.applies(findings)), key=lambda one: one.order)


def _chapters(study: str) -> tuple[Any, ...]:
    folder = import_module(f"{ffmem.studies.__name__}.{study}")
    modules = [import_module(f"{folder.__name__}.{file.name}") for file in iter_modules(folder.__path__)]
    return tuple(sorted((one.CHAPTER for one in modules if hasattr(one, "CHAPTER")), key=lambda one: one.order))


def study_names() -> list[str]:
    """Every study that there is."""
    folders = (Path(path) for path in ffmem.studies.__path__)
    return sorted(file.parent.name for folder in folders for file in folder.glob("*/study.py"))


def study_named(name: str) -> Study[Any]:
    """A study.

    Raises:
        InputError: there is none of that name.
    """
    if name not in study_names():
        raise InputError(
            f"there is no study {name!r}", f"Expected one of: {', '.join(study_names())}", "See: ffmem study list"
        )
    study: Study[Any] = import_module(f"{ffmem.studies.__name__}.{name}.study").STUDY
    return study

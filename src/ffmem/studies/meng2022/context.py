"""What the experiments of the study share: model, facts that it knows, text, and where results lie."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.analyses.editing.asking import first_answers, most_probable
from ffmem.analyses.editing.edit import workshop_of
from ffmem.analyses.editing.facts import Fact, read_facts
from ffmem.analyses.editing.methods import Workshop
from ffmem.analyses.editing.options import EditOptions, Method
from ffmem.analyses.editing.outputs import check_editable
from ffmem.analyses.editing.side_effects import Bystanders
from ffmem.analyses.editing.text import windows
from ffmem.corpus.documents import Corpus
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.models.controls import as_control
from ffmem.models.patches.changes import Change
from ffmem.models.transformer import Transformer
from ffmem.studies.controls import CONTROLS
from ffmem.studies.meng2022.options import FactOptions
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "meng2022"
_MEASURED = 1
"""Goes up when an experiment keeps something else, so that older results are measured anew."""
_FACTS_OF_CONTROL = 6
"""Most facts of a control."""


@dataclass(frozen=True)
class Meng2022:
    """A model with facts to change."""

    results: Results
    model: Transformer
    corpus: Corpus
    options: FactOptions
    facts: tuple[Fact, ...]
    """All that are asked."""
    load: Callable[[], Transformer]
    """Loads the model once more, for a control that is made of it."""
    folder: Path = field(default_factory=Path)
    """Where moments are kept."""
    knows_nothing: bool = False
    """Whether it is a control: then the old answer of a fact is whatever the model says."""

    @cached_property
    def answers(self) -> tuple[str, ...]:
        """The model's first choice at the prompt of each fact."""
        return tuple(most_probable(self.model, [fact.prompt for fact in self.facts]))

    @cached_property
    def known(self) -> tuple[Fact, ...]:
        """The facts whose old answer is the model's first choice; of a control, with that as their old answer."""
        if self.knows_nothing:
            told_now = first_answers(self.model, [fact.prompt for fact in self.facts])
            both = zip(self.facts, told_now, strict=True)
            return tuple(replace(fact, old=told) for fact, told in both if told != fact.new.strip())
        pairs = zip(self.facts, self.answers, strict=True)
        return tuple(fact for fact, told in pairs if told.strip() and fact.old.strip().startswith(told.strip()))

    @cached_property
    def edited(self) -> tuple[Fact, ...]:
        """Those of them that are drawn.

        Raises:
            InputError: the model knows fewer than two.
        """
        if len(self.known) < 2:
            raise InputError(
                f"of {len(self.facts)} facts, {self.model.facts.name} gives the old answer of {len(self.known)} as its first "
                "choice",
                "Expected at least two facts that it knows",
                "Give facts that it knows, by --facts FILE, or a larger model",
            )
        order = np.random.default_rng(self.options.seed).permutation(len(self.known))
        return tuple(self.known[number] for number in sorted(order[: self.options.n_facts]))

    @cached_property
    def bystanders(self) -> Bystanders:
        """Held-out text, as the model reads it before any edit."""
        options = self.options
        text = windows(self.model, self.corpus, "held-out", n_tokens=options.side_tokens, length=options.length)
        return Bystanders(self.model, text)

    @cached_property
    def edits(self) -> dict[Any, Mapping[int, Change]]:
        """Those that were made in this run, so that as large a change of other cells needs no second one."""
        return {}

    @cached_property
    def _workshops(self) -> dict[tuple[Method, int | None], Workshop]:
        return {}

    def workshop(self, method: Method, place: int | None) -> Workshop:
        """What edits of one method at one layer are made with."""
        if (method, place) not in self._workshops:
            self._workshops[method, place] = self._workshop(method, place)
        return self._workshops[method, place]

    def _workshop(self, method: Method, place: int | None) -> Workshop:
        options = EditOptions(
            method=method,
            layer=place,
            steps=self.options.steps,
            contexts=self.options.contexts,
            gradient_steps=5,
            tokens=self.options.moment_tokens,
            length=self.options.length,
            seed=self.options.seed,
        )
        return workshop_of(self.model, self.corpus, options, self.folder)


def begin(subject: Subject, options: FactOptions, _: StageListener) -> Meng2022:
    """Load the model, read the facts, and find the results of earlier runs.

    Raises:
        InputError: the model has no answers to change, the facts cannot be read, or several corpora are given.
    """
    if len(subject.corpora) > 1:
        raise InputError(
            f"{len(subject.corpora)} corpora are given to the study {NAME}",
            "Expected one, whose even documents edits are made with and whose odd ones they are measured on",
            "Name one of them",
        )
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    corpus = subject.corpora[0] if subject.corpora else open_corpus("topics")
    corpus.settle(folder, None)
    facts = _facts(options)
    model = subject.model()
    check_editable(model, 0)
    results = _begin_results(folder, model, corpus, options, facts, in_folder_itself=subject.index is None)
    return Meng2022(results, model, corpus, options, facts, subject.model, results.folder / "moments")


def untrained(shared: Meng2022, _: object) -> Meng2022:
    """The same edits of the model with nothing learned, of fewer facts."""
    model = as_control(shared.load(), "untrained")
    options = replace(shared.options, n_facts=min(shared.options.n_facts, _FACTS_OF_CONTROL), knowledge_facts=0)
    folder = shared.results.folder / CONTROLS / "untrained"
    results = _begin_results(folder, model, shared.corpus, options, shared.facts, in_folder_itself=False)
    return Meng2022(
        results,
        model,
        shared.corpus,
        options,
        shared.facts,
        shared.load,
        results.folder / "moments",
        knows_nothing=True,
    )


def _facts(options: FactOptions) -> tuple[Fact, ...]:
    if options.facts is not None:
        return read_facts(options.facts)
    with as_file(files("ffmem") / "data" / "facts.json") as path:
        return read_facts(path)


def _begin_results(
    folder: Path,
    model: Transformer,
    corpus: Corpus,
    options: FactOptions,
    facts: tuple[Fact, ...],
    *,
    in_folder_itself: bool,
) -> Results:
    identity = {"model": {"name": model.facts.name, **hashes_of(model)}, "corpus": corpus.identity()}
    known = hashlib.sha256(repr(facts).encode()).hexdigest()
    header = {"study": NAME, "index": identity, "options": options.to_json(), "facts_sha256": known}
    decides = {**header, "options": options.to_json() | {"facts": None}, "measured": _MEASURED}
    return begin_results(folder, header, decides, in_folder_itself=in_folder_itself)

"""What the experiments of the audit share: a model, the text that it was trained on, new text, and the results."""

import hashlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import cast

import numpy as np

from ffmem.analyses.memorised.losses import check_predicts
from ffmem.analyses.memorised.texts import ReadText, read_document, surface_counts
from ffmem.corpus.documents import Corpus, Document
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.index.text.writer import is_held_out
from ffmem.json_values import JsonObject
from ffmem.models.controls import as_control
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.options import Dtype, IndexOptions
from ffmem.studies.carlini2021.options import AuditOptions
from ffmem.studies.carlini2021.planted import Planted, read_planted
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "carlini2021"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""
_OF_CONTROL = {"documents": 100, "sequences": 100, "drawn": 1024, "searched": 0, "passages": 0, "injections": 0}
"""Most that the control is asked: it has to show a shape, not a digit."""
FEW = 10
"""Documents of either kind below which nothing is told apart."""


@dataclass(frozen=True)
class Texts:
    """Documents that the model was trained on, and others."""

    members: list[Document]
    """Of the training text, as often as they stand there."""
    new: list[Document]
    n_left_out: int
    """Documents that were said to be new and stand in the training text word for word."""
    identity: tuple[JsonObject, JsonObject | None]
    """Of both corpora; None: the new ones are what an index of the first holds out by default."""


class Audit:
    """What the experiments share.

    Args:
        results: where what they find is kept.
        model: a causal model.
        texts: what it was trained on, and what it was not.
        options: what is drawn.
        planted: what is known to be in ``train``.
        load: loads the model once more, for a control that is made of it.
        trusted: whether code that comes with a reference model may be run.
        is_control: whether the model is not the one that is studied.
    """

    def __init__(
        self,
        results: Results,
        model: Transformer,
        texts: Texts,
        options: AuditOptions,
        planted: Planted | None,
        load: Callable[[], Transformer],
        *,
        trusted: bool = False,
        is_control: bool = False,
    ) -> None:
        self._results, self.model, self.options, self.planted = results, model, options, planted
        self._texts, self._load, self._trusted = texts, load, trusted
        self.is_control = is_control

    @property
    def results(self) -> Results:
        """Where what they find is kept."""
        return self._results

    @property
    def n_left_out(self) -> int:
        """Documents that were said to be new and stand in the training text word for word."""
        return self._texts.n_left_out

    @cached_property
    def train(self) -> list[ReadText]:
        """Every document of the training text, as often as it stands there."""
        return [self._read(one) for one in self._texts.members]

    @cached_property
    def counts(self) -> Counter[str]:
        """How often the training text has what tokens stand for."""
        return surface_counts(self.train)

    @cached_property
    def plain(self) -> list[ReadText]:
        """Those of the training text that are there once, and were not planted."""
        copies = Counter(one.text for one in self.train)
        planted = frozenset[str]() if self.planted is None else self.planted.texts
        return [one for one in self.train if copies[one.text] == 1 and one.text not in planted]

    @cached_property
    def members(self) -> list[ReadText]:
        """Some of these, drawn at random."""
        return self._some(self.plain, 41)

    @cached_property
    def others(self) -> list[ReadText]:
        """Some that are new, drawn at random."""
        return self._some([self._read(one) for one in self._texts.new], 42)

    @cached_property
    def unknown(self) -> int | None:
        """The token that stands for words that the model does not know, where there is one."""
        found: int | None = self.model.tokenizer.unk_token_id
        # where the tokenizer can spell every word, it is another token's name
        return found if found not in self.model.special_tokens("auto")[0] else None

    @cached_property
    def reference(self) -> Transformer | None:
        """The other model that a user named.

        Raises:
            InputError: it cannot be loaded, or has other tokens.
        """
        if self.options.reference_model is None:
            return None
        found = load_model(
            self.options.reference_model,
            dtype=cast(Dtype, self.model.facts.dtype),
            device=str(self.model.device),
            trust_remote_code=self._trusted,
        )
        check_predicts(found)
        if found.tokenizer_hash() != self.model.tokenizer_hash():
            raise InputError(
                f"{found.facts.name} and {self.model.facts.name} have different tokenizers",
                "Expected a reference model with the same tokens, so that losses are of the same things",
                "Name another moment of the same training, or leave --reference-model out",
            )
        return found

    def _read(self, document: Document) -> ReadText:
        return read_document(self.model, document, lines=self.options.lines)

    def _some(self, texts: Sequence[ReadText], number: int) -> list[ReadText]:
        there = [one for one in texts if len(one.ids) > 1]
        rng = np.random.default_rng([self.options.seed, number])
        return [there[one] for one in sorted(rng.permutation(len(there))[: self.options.documents].tolist())]

    def as_control(self) -> "Audit":
        """The same experiments on the model with nothing learned, on less."""
        model = as_control(self._load(), "untrained")
        fewer = {name: min(most, getattr(self.options, name)) for name, most in _OF_CONTROL.items()}
        options = replace(self.options, **fewer, reference_model=None)
        folder = self.results.folder / CONTROLS / "untrained"
        results = _begin_results(folder, model, self._texts.identity, options, self.planted, own=False)
        return Audit(results, model, self._texts, options, self.planted, self._load, is_control=True)


def begin(subject: Subject, options: AuditOptions, _: StageListener) -> Audit:
    """Load the model, open the corpora, and find the results of earlier runs.

    Raises:
        InputError: no training text is named, the model predicts no next token, or the folder has results of something else.
    """
    train = _train_of(subject, options)
    held_out = None if options.held_out is None else open_corpus(options.held_out, encoding=subject.encoding)
    if held_out is not None and options.held_out == options.train:
        raise InputError(
            f"--held-out names the same corpus as --train, {options.train}",
            "Expected text that the model was not trained on",
            "Leave --held-out out to take the documents that `ffmem index` would hold out of it",
        )
    planted = None if options.planted is None else read_planted(options.planted)
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    for corpus in (train, held_out):
        if corpus is not None:
            corpus.settle(folder, None)
    model = subject.model()
    check_predicts(model)
    texts = _texts_of(train, held_out)
    results = _begin_results(folder, model, texts.identity, options, planted, own=subject.index is None)
    return Audit(results, model, texts, options, planted, subject.model, trusted=subject.trust_remote_code)


def _texts_of(train: Corpus, held_out: Corpus | None) -> Texts:
    defaults, every = IndexOptions(), list(train)
    if held_out is None:
        members = [one for one in every if not is_held_out(one.text, defaults)]
        others = [one for one in every if is_held_out(one.text, defaults)]
    else:
        members, others = every, list(held_out)
    known = {one.text for one in members}
    new = [one for one in others if one.text not in known]
    n_known = len(others) - len(new)
    known_too = f": of {len(others)}, {n_known} stand word for word in the training text" if n_known else ""
    for found, what, flag in (
        (members, "training text", "--train"),
        (new, f"text that is new{known_too}", "--held-out"),
    ):
        if len(found) < FEW:
            raise InputError(
                f"there are {len(found)} documents of the {what}",
                f"Expected at least {FEW} documents of either kind, to tell one from the other",
                f"Name a larger corpus with {flag}",
            )
    identity = (train.identity(), None if held_out is None else held_out.identity())
    return Texts(members, new, n_known, identity)


def _train_of(subject: Subject, options: AuditOptions) -> Corpus:
    if len(subject.corpora) + (options.train is not None) != 1:
        raise InputError(
            f"{len(subject.corpora) + (options.train is not None)} training texts are named",
            "Expected one corpus, the text that the model was trained on",
            "Write --train CORPUS; a pattern in quotes names many files",
        )
    return subject.corpora[0] if options.train is None else open_corpus(options.train, encoding=subject.encoding)


def _begin_results(
    folder: Path,
    model: Transformer,
    corpora: tuple[JsonObject, JsonObject | None],
    options: AuditOptions,
    planted: Planted | None,
    *,
    own: bool,
) -> Results:
    """Files are what they hold, wherever they lie."""
    train, held_out = corpora
    truth = None if planted is None else hashlib.sha256(repr(planted).encode()).hexdigest()
    identity = {"model": {"name": model.facts.name, **hashes_of(model)}, "corpus": train, "held_out": held_out}
    header = {"study": NAME, "index": identity, "options": options.to_json(), "planted_sha256": truth}
    chosen = options.to_json() | {"train": None, "held_out": None, "planted": None}
    decides = {**header, "options": chosen, "measured": _MEASURED}
    return begin_results(folder, header, decides, in_folder_itself=own)


def untrained(shared: Audit, _: StageListener) -> Audit:
    """The control of the study."""
    return shared.as_control()

"""What a study shares that asks a model about positions of text which its index does not hold: the model, them, the results."""

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property
from typing import Any, ClassVar, Protocol, Self

from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.corpus.documents import Corpus
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.models.controls import ControlKind, as_control
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.held_out import held_out_corpus, text_of
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import Subject


class HeldOutOptions(Protocol):
    """What such a study may be told; a frozen dataclass."""

    @property
    def held_out(self) -> str | None:
        """A corpus instead of the index's own held-out documents."""
        ...

    @property
    def positions(self) -> int:
        """How many are drawn at most."""
        ...

    @property
    def seed(self) -> int:
        """Of everything drawn."""
        ...

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        ...


class OnHeldOut:
    """What the experiments of such a study share; a study has a class of its own with its name.

    Args:
        subject: the index, and where its model comes from.
        options: what is sampled.

    Raises:
        InputError: there is no index, it is of some cells alone, it holds no text out, or its model does not predict the next
            token of a text.
    """

    name: ClassVar[str]
    """Of the study."""
    about: ClassVar[str]
    """What the study is of, for a message."""
    measured: ClassVar[int]
    """Goes up when experiments keep something else, so that older results are measured anew."""
    of_control: ClassVar[Mapping[str, int]]
    """Most that a control is asked, by option: it has to show a shape, not a digit."""
    of_model: ClassVar[tuple[str, ...]] = ("model",)
    """Cached properties that hold the model, or what is made of it."""

    def __init__(self, subject: Subject, options: HeldOutOptions) -> None:
        index = subject.index
        if index is None:
            raise InputError(
                f"the study {self.name} is given no index",
                "Expected an index, for its text and for the documents that it holds out",
                "Make one: ffmem index MODEL CORPUS --out FOLDER",
            )
        index = index.without_dictionaries()
        index.check_whole(self.about)
        if not index.manifest.model.predicts_next_token:
            raise InputError(
                f"{index.manifest.model.name} does not predict the next token of a text, which the study {self.name} is about",
                "Expected an index of a causal language model",
                "Index another model",
            )
        self.index: Index = index
        self.options: Any = options
        self.bos = index.manifest.options.bos
        self._subject = subject
        self._corpus: Corpus | None = held_out_corpus(self.name, subject, options.held_out)
        self._control: tuple[ControlKind, Self] | None = None
        self.results = self._begin_results()
        if self._corpus is None:
            self.positions  # noqa: B018 (that there is no held-out text is found out before the first experiments)

    @property
    def is_control(self) -> bool:
        """Whether the model is not the one that the index is of."""
        return self._control is not None

    @cached_property
    def model(self) -> Transformer:
        """The model of the index, or the control that is made of it, loaded when the first experiment asks for it."""
        model = self._subject.model()
        if self._control is None:
            return model
        batching, control = model.batching, as_control(model, self._control[0])
        control.adopt(batching)
        return control

    @cached_property
    def positions(self) -> Positions:
        """Of held-out text; those of a control are some of the study's own."""
        n, seed = self.options.positions, self.options.seed
        if self._control is not None:
            return self._control[1].positions.some(n, seed=seed)
        text = self.index.text
        if self._corpus is None:
            return positions_of_text(text, text.n_sentences, text.n_all_sentences, n, seed=seed)
        text = text_of(self._corpus, self.model, self.index.manifest.options, self.results.folder)
        return positions_of_text(text, 0, text.n_all_sentences, n, seed=seed)

    def layer_names(self) -> list[str]:
        """Of all layers."""
        return [layer.name for layer in self.index.cells.layers]

    def release(self) -> None:
        """Give the memory of the model, and of all that is made of it, back; it is loaded again if it is asked for."""
        for name in self.of_model:
            self.__dict__.pop(name, None)

    def as_control(self, kind: ControlKind) -> Self:
        """The same experiments on a control, on fewer positions and cells.

        Raises:
            InputError: it cannot be made of this model.
        """
        if self.index.manifest.options.quantize != "no":
            raise InputError(
                f"the weights of {self.index.manifest.model.name} are packed, so that {kind}:... cannot be made of them",
                "Expected plain weights",
                "Index the model without --quantize",
            )
        self.positions  # noqa: B018 (they may need the model's tokenizer)
        self.release()
        fewer = {name: min(most, getattr(self.options, name)) for name, most in self.of_control.items()}
        control = copy(self)
        control.__dict__.pop("positions")
        control.options = replace(self.options, **fewer)
        control._control = (kind, self)
        control.results = control._begin_results()
        return control

    def _begin_results(self) -> Results:
        """An index is what its files hold; a held-out text is what its identity says, wherever it lies."""
        folder, identity = self.index.folder / FOLDER, self.index.manifest.identity.json
        held_out = None if self._corpus is None else self._corpus.identity()
        chosen, kind = self.options.to_json(), None
        if self._control is not None:
            kind, study = self._control
            folder = study.results.folder / CONTROLS / kind
            identity = {**identity, "model": {**identity["model"], "name": f"{kind}:{identity['model']['name']}"}}
        return begin_results(
            folder,
            {"study": self.name, "index": identity, "options": chosen, "held_out": held_out},
            {
                "study": self.name,
                "index": self.index.manifest.json["files"],
                "options": chosen | {"held_out": None},
                "held_out": held_out,
                "control": kind,
                "measured": self.measured,
                **self.also_decides(),
            },
        )

    def also_decides(self) -> JsonObject:
        """What else results are of, where an option names files: what they hold, wherever they lie. May replace "options"."""
        return {}

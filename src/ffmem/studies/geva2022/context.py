"""What the experiments of the study share: an index, its model, positions of held-out text, and the results."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64

from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.analyses.updates.readout import Readout
from ffmem.analyses.values import unigram_counts
from ffmem.corpus.documents import Corpus
from ffmem.errors import InputError
from ffmem.models.controls import ControlKind, as_control
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.held_out import held_out_corpus, text_of
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "geva2022"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""
_OF_CONTROL = {"positions": 1000, "update_positions": 250, "update_cells": 30}
"""Most that a control is asked: it has to show a shape, not a digit."""


class Geva2022:
    """What the experiments share.

    Args:
        index: a finished index.
        options: what is sampled.
        subject: where the model comes from.
        held_out: a corpus instead of the index's own held-out documents, ready to be read.
        control: what this is instead of the model, and the study that it is a control of.
    """

    def __init__(
        self,
        index: Index,
        options: UpdateOptions,
        subject: Subject,
        held_out: Corpus | None = None,
        control: "tuple[ControlKind, Geva2022] | None" = None,
    ) -> None:
        self.index, self.options, self.bos = index, options, index.manifest.options.bos
        self._subject, self._corpus, self._control = subject, held_out, control
        self.results = self._begin_results()

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
    def readout(self) -> Readout:
        """How it reads its last state."""
        return Readout(self.model)

    @cached_property
    def other(self) -> Transformer:
        """The other model that a user named.

        Raises:
            InputError: it cannot be loaded.
        """
        assert self.options.other is not None
        options, trusted = self.index.manifest.options, self._subject.trust_remote_code
        return load_model(
            self.options.other, dtype=options.dtype, device=str(self.model.device), trust_remote_code=trusted
        )

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

    @cached_property
    def unigram(self) -> Float64[np.ndarray, "d_vocab"]:
        """The probability of each token in the indexed text, with one more occurrence of each than it has there."""
        counts = unigram_counts(self.index) + 1.0
        found: np.ndarray = counts / counts.sum()
        return found

    def layer_names(self) -> list[str]:
        """Of all layers."""
        return [layer.name for layer in self.index.cells.layers]

    def release(self) -> None:
        """Give the memory of the model back; it is loaded again if it is asked for."""
        for name in ("readout", "model", "other"):
            self.__dict__.pop(name, None)

    def as_control(self, kind: ControlKind) -> "Geva2022":
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
        fewer = {name: min(most, getattr(self.options, name)) for name, most in _OF_CONTROL.items()}
        options = replace(self.options, **fewer)
        return Geva2022(self.index, options, self._subject, self._corpus, (kind, self))

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
            {"study": NAME, "index": identity, "options": chosen, "held_out": held_out},
            {
                "study": NAME,
                "index": self.index.manifest.json["files"],
                "options": chosen | {"held_out": None},
                "held_out": held_out,
                "control": kind,
                "measured": _MEASURED,
            },
        )


def begin(subject: Subject, options: UpdateOptions, _: StageListener) -> Geva2022:
    """From an index and options to what the experiments share.

    Raises:
        InputError: there is no index, it is of some cells alone, or its model does not predict the next token of a text.
    """
    index = subject.index
    if index is None:
        raise InputError(
            f"the study {NAME} is given no index",
            "Expected an index, for its text and for the documents that it holds out",
            "Make one: ffmem index MODEL CORPUS --out FOLDER",
        )
    index.check_whole("a study of what layers add to a prediction")
    if not index.manifest.model.predicts_next_token:
        raise InputError(
            f"{index.manifest.model.name} does not predict the next token of a text, which the study {NAME} is about",
            "Expected an index of a causal language model",
            "Index another model",
        )
    shared = Geva2022(index, options, subject, held_out_corpus(NAME, subject, options.held_out))
    if shared._corpus is None:
        shared.positions  # noqa: B018 (that there is no held-out text is found out before the first experiments)
    return shared


def control_of(kind: ControlKind) -> Callable[[Geva2022, StageListener], Geva2022]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)


def as_tensor(values: np.ndarray, model: Transformer) -> torch.Tensor:
    """Numbers where a model is."""
    return torch.from_numpy(values).to(model.device)

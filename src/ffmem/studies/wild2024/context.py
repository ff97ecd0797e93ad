"""What the experiments of the study share: an index, its model, a stretch of its text, where cells are active, the results."""

from collections.abc import Callable
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import numpy as np

from ffmem.analyses.sparsity.active import LayerActive, active_cells
from ffmem.analyses.sparsity.limits import Limits, cuts_to_zero, perplexity_limits
from ffmem.analyses.sparsity.stretch import Stretch, stretch_of
from ffmem.errors import InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.controls import ControlKind, as_control
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index, open_index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import Stage, StageListener, Subject
from ffmem.studies.wild2024.options import SparsityOptions

NAME = "wild2024"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""
_WINDOWS_OF_CONTROL = 3
"""Most windows that a control is asked: it has to show a shape, not a digit."""


class Wild2024:
    """What the experiments share.

    Args:
        index: a finished index.
        options: what is read.
        subject: where the model comes from.
        earlier: indexes of earlier moments of its training, in their order.
        control: what this is instead of the model, and the study that it is a control of.
    """

    def __init__(
        self,
        index: Index,
        options: SparsityOptions,
        subject: Subject,
        earlier: tuple[Index, ...] = (),
        control: "tuple[ControlKind, Wild2024] | None" = None,
    ) -> None:
        self.index, self.options, self.earlier, self.bos = index, options, earlier, index.manifest.options.bos
        self._subject, self._control = subject, control
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

    def model_of(self, index: Index) -> Transformer:
        """The model of an earlier moment, loaded anew.

        Raises:
            FfmemError: it is no longer where it was, or has other weights.
        """
        trusted = self._subject.trust_remote_code
        return load_indexed_model(index, device=self._subject.device, trust_remote_code=trusted)

    @cached_property
    def stretch(self) -> Stretch:
        """The text that is read."""
        return self._stretch(self.options.positions)

    def few(self, n: int) -> Stretch:
        """As many positions of other documents, drawn anew, where only a part of the text is needed."""
        return self._stretch(n, further=1)

    def _stretch(self, n: int, further: int = 0) -> Stretch:
        sentences, skip = (0, self.index.text.n_sentences), self.index.manifest.options.skip_first
        return stretch_of(self.index.text, sentences, n, skip_first=skip, seed=self.options.seed + further)

    @cached_property
    def limits(self) -> Limits | None:
        """What counts as active: None where coefficients are exactly 0, else above the limit of the layer."""
        if cuts_to_zero(self.model):
            return None
        return perplexity_limits(self.model, self.few(self.options.limit_positions), self.bos)

    def active(self, listen: StageListener, experiment: str) -> list[LayerActive]:
        """Where cells are active: read once for all experiments that ask."""
        if "_active" not in self.__dict__:
            limits, n = self.limits, len(self.stretch)

            def hear(done: int) -> None:
                listen(Stage(experiment, done, n))

            self._active = active_cells(
                self.model, self.stretch, self.bos, None if limits is None else limits.limits, hear
            )
        return self._active

    def layer_names(self) -> list[str]:
        """Of all layers."""
        return [layer.name for layer in self.index.cells.layers]

    def cell_name(self, number: int) -> str:
        """The id of a cell by its number among those of all layers."""
        ends = np.cumsum([layer.n_cells for layer in self.index.cells.layers])
        place = int(np.searchsorted(ends, number, side="right"))
        return str(self.index.cells.cell_id(place, number - int(ends[place - 1] if place else 0)))

    def release(self) -> None:
        """Give the memory of the model, and of what was read, back."""
        for name in ("model", "_active"):
            self.__dict__.pop(name, None)

    def as_control(self, kind: ControlKind) -> "Wild2024":
        """The same experiments on a control, on less text.

        Raises:
            InputError: it cannot be made of this model.
        """
        if self.index.manifest.options.quantize != "no":
            raise InputError(
                f"the weights of {self.index.manifest.model.name} are packed, so that {kind}:... cannot be made of them",
                "Expected plain weights",
                "Index the model without --quantize",
            )
        self.release()
        most = max(_WINDOWS_OF_CONTROL * self.options.window, 1)
        options = replace(self.options, positions=min(most, self.options.positions), earlier=())
        return Wild2024(self.index, options, self._subject, (), (kind, self))

    def _begin_results(self) -> Results:
        """An index is what its files hold, wherever it lies."""
        folder, identity = self.index.folder / FOLDER, self.index.manifest.identity.json
        chosen, kind = self.options.to_json(), None
        if self._control is not None:
            kind, study = self._control
            folder = study.results.folder / CONTROLS / kind
            identity = {**identity, "model": {**identity["model"], "name": f"{kind}:{identity['model']['name']}"}}
        return begin_results(
            folder,
            {"study": NAME, "index": identity, "options": chosen},
            {
                "study": NAME,
                "index": self.index.manifest.json["files"],
                "options": chosen | {"earlier": [one.manifest.json["files"] for one in self.earlier]},
                "control": kind,
                "measured": _MEASURED,
            },
        )


def begin(subject: Subject, options: SparsityOptions, _: StageListener) -> Wild2024:
    """From an index and options to what the experiments share.

    Raises:
        InputError: there is no index, it is of some cells alone, or an earlier one is of something else.
    """
    index = subject.index
    if index is None:
        raise InputError(
            f"the study {NAME} is given no index",
            "Expected an index, for its text and its counts",
            "Make one: ffmem index MODEL CORPUS --out FOLDER",
        )
    index = index.without_dictionaries()
    index.check_whole("a study of which cells are in use")
    earlier = tuple(_earlier(index, folder) for folder in options.earlier)
    shared = Wild2024(index, options, subject, earlier)
    shared.stretch  # noqa: B018 (that there is no text is found out before the first experiments)
    return shared


def _earlier(index: Index, folder: str) -> Index:
    """An index of an earlier moment.

    Raises:
        InputError: it is not of the same cells and text.
    """
    found = open_index(Path(folder)).without_dictionaries()
    same_text = found.manifest.counts.n_tokens == index.manifest.counts.n_tokens and (
        found.manifest.identity.json["corpus"] == index.manifest.identity.json["corpus"]
    )
    models = found.manifest.model, index.manifest.model
    same_cells = models[0].architecture == models[1].architecture and found.cells.layers == index.cells.layers
    if same_cells and same_text:
        return found
    what = "text" if same_cells else "cells"
    raise InputError(
        f"{folder} and {index.folder} are indexes of other {what}",
        "Expected two moments of one model's training, indexed over the same text with the same options",
        f"Index the earlier moment as {index.folder} was, or leave --earlier out",
    )


def control_of(kind: ControlKind) -> Callable[[Wild2024, StageListener], Wild2024]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)

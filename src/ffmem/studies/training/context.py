"""What the experiments of the study share: the moments, their models, the text that they are compared on, and the results."""

from dataclasses import replace
from functools import cached_property

import numpy as np
from jaxtyping import Int64

from ffmem.analyses.through_training.moments import Moment, moments_of
from ffmem.analyses.through_training.triggers import EMPTY, Lists, documents_of, trigger_lists
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.errors import InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index, open_index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject
from ffmem.studies.training.options import TrainingOptions

NAME = "training"
SHUFFLED = "shuffled"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""
_OF_CONTROL = 1000
"""Most positions that the control is asked: it has to show a level, not a digit."""


class Training:
    """What the experiments share.

    Args:
        moments: of one training, earliest first.
        options: what is sampled.
        subject: where the model of the last moment comes from.
        other: the index of another seed.
        study: what this is the control of: the same with the cells of each layer in another order at each moment.
    """

    def __init__(
        self,
        moments: tuple[Moment, ...],
        options: TrainingOptions,
        subject: Subject,
        other: Index | None = None,
        study: "Training | None" = None,
    ) -> None:
        self.moments, self.options, self.other = moments, options, other
        self.index = moments[-1].index
        self._subject, self._study = subject, study
        self.results = self._begin_results()

    @property
    def is_control(self) -> bool:
        """Whether cells are mixed up."""
        return self._study is not None

    @property
    def places(self) -> range:
        """The layers."""
        return range(self.index.n_layers)

    def layer_names(self) -> list[str]:
        """Of all layers."""
        return [layer.name for layer in self.index.cells.layers]

    def order(self, moment: int, place: int) -> Int64[np.ndarray, "cells"]:
        """Which cell of a moment stands in the place of each cell of a layer: itself, but for the control."""
        n = self.index.cells.layers[place].n_cells
        if not self.is_control:
            return np.arange(n)
        return np.random.default_rng([self.options.seed, 33, moment, place]).permutation(n)

    def lists(self, moment: int, place: int) -> Lists:
        """The trigger lists of a layer at a moment."""
        found: Lists = trigger_lists(self.moments[moment].index, place)[self.order(moment, place)]
        return found

    @cached_property
    def layer_of(self) -> Int64[np.ndarray, "cells"]:
        """The layer of each cell of the model."""
        return np.repeat(np.arange(len(self.places)), [layer.n_cells for layer in self.index.cells.layers])

    @cached_property
    def document_of(self) -> Int64[np.ndarray, "cells"]:
        """The document of the best trigger of each cell at the last moment; a number of its own for a cell without any.

        What is said of cells is as uncertain as the documents that stand behind them are few.
        """
        found = []
        for place in self.places:
            best = self.lists(len(self.moments) - 1, place)[:, :, :1]
            documents = documents_of(self.index, best)[:, :, 0]
            first = np.where(documents[:, 0] != EMPTY, documents[:, 0], documents[:, -1])
            found.append(first)
        together = np.concatenate(found)
        return np.where(together == EMPTY, -1 - np.arange(len(together)), together)

    def model(self, moment: int) -> Transformer:
        """The model of a moment, loaded anew.

        Raises:
            InputError: it is no longer where it was.
        """
        if moment == len(self.moments) - 1:
            return self._subject.model()
        index = self.moments[moment].index
        trusted = self._subject.trust_remote_code
        return load_indexed_model(index, device=self._subject.device, trust_remote_code=trusted)

    @cached_property
    def positions(self) -> Positions:
        """Of held-out text, or, where the index holds none out, of indexed text; those of the control are some of them."""
        n, seed, text = self.options.positions, self.options.seed, self.index.text
        if self._study is not None:
            return self._study.positions.some(n, seed=seed)
        first = text.n_sentences if text.n_sentences < text.n_all_sentences else 0
        return positions_of_text(text, first, text.n_all_sentences, n, seed=seed)

    def shuffled(self) -> "Training":
        """The same experiments with the cells of each layer in another order at each moment."""
        options = replace(self.options, positions=min(self.options.positions, _OF_CONTROL))
        return Training(self.moments, options, self._subject, None, self)

    def _begin_results(self) -> Results:
        """Moments are what the files of their indexes hold, wherever they lie."""
        identity = self.index.manifest.identity.json
        folder, kind = self.index.folder / FOLDER, None
        if self._study is not None:
            folder, kind = self._study.results.folder / CONTROLS / SHUFFLED, SHUFFLED
        moments = [
            {"name": one.name, "step": one.step, "folder": str(one.index.folder.resolve()),
             "weights_sha256": one.index.manifest.identity.model.weights_sha256}
            for one in self.moments
        ]  # fmt: skip
        other = None if self.other is None else self.other.manifest.identity.model.weights_sha256
        chosen, counts = self.options.to_json(), self.index.manifest.counts
        shape = {
            "layers": self.layer_names(),
            "n_cells": self.index.n_cells,
            "n_sentences": counts.n_sentences,
            "n_tokens": counts.n_tokens,
            "top": self.index.top,
            "control": kind,
        }
        return begin_results(
            folder,
            {"study": NAME, "index": identity, "options": chosen, "moments": moments, "shape": shape},
            {
                "study": NAME,
                "moments": [one.index.manifest.json["files"] for one in self.moments],
                "steps": [one.step for one in self.moments],
                "other": other,
                "options": chosen | {"earlier": None, "seed_other": None},
                "control": kind,
                "measured": _MEASURED,
            },
        )


def begin(subject: Subject, options: TrainingOptions, _: StageListener) -> Training:
    """From indexes and options to what the experiments share.

    Raises:
        InputError: there is no index, or no earlier one, they are not of one training, or of some cells alone.
    """
    if subject.index is None:
        raise InputError(
            f"the study {NAME} is given no index",
            "Expected the indexes of at least two moments of one training",
            "Write: ffmem trace INDEX INDEX ...",
        )
    if subject.corpora:
        raise InputError(
            f"the study {NAME} is given the corpus {subject.corpora[0].name}",
            "Expected none: the moments are indexed over the text that it compares them on",
            "Leave it out",
        )
    indexes = [*(open_index(folder) for folder in options.earlier), subject.index]
    own = [index.without_dictionaries() for index in indexes]
    for index in own:
        index.check_whole("a study of cells through training")
    other = None if options.seed_other is None else open_index(options.seed_other).without_dictionaries()
    return Training(moments_of(own), options, subject, other)


def shuffled(shared: Training, _: object) -> Training:
    """The control: see `Training.shuffled`."""
    return shared.shuffled()

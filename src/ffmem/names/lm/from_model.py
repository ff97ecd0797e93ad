"""What only the model of an index can tell: coefficients at every token of a sentence, and directions that no cell has."""

import tempfile
import threading
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from ffmem.analyses.meaning.directions import TurnedCells, can_turn
from ffmem.analyses.meaning.states import States, states_at
from ffmem.analyses.token_coefficients import token_coefficients
from ffmem.ids import CellId
from ffmem.models.transformer import Transformer
from ffmem.names.lm.known import Coefficients, Known, Positions, Unit, positions, threshold_of
from ffmem.names.lm.texts import Texts

_POOL = 6_000
"""Positions at which a random direction is looked at."""
_SENTENCES = 40
"""Of one question."""
_KEPT = 100
"""Cells whose coefficients are kept: those of a layer are asked about several times."""


class FromModel:
    """Asks the model of an index, one question at a time: its hooks are of one thread. Leaves nothing once it is closed."""

    def __init__(self, model: Transformer, texts: Texts) -> None:
        self._model, self._texts = model, texts
        self._lock = threading.Lock()
        self._found: dict[CellId, dict[int, np.ndarray]] = {}
        self._states: States | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def __enter__(self) -> "FromModel":
        return self

    def __exit__(self, *_: object) -> None:
        if self._folder is not None:
            self._folder.cleanup()

    @property
    def can_turn(self) -> bool:
        """Whether random directions can be made: see `directions.can_turn`."""
        return can_turn(self._model)

    def coefficients(self, unit: Unit, sentences: Sequence[int]) -> Coefficients:
        """The coefficients of a unit at the own tokens of some sentences, times its sign."""
        with self._lock:
            found = self._found.pop(unit.cell, {})
            self._found[unit.cell] = found  # the latest last
            if len(self._found) > _KEPT:
                del self._found[next(iter(self._found))]
        missing = [one for one in dict.fromkeys(sentences) if one not in found]
        for first in range(0, len(missing), _SENTENCES):
            with self._lock:
                found |= token_coefficients(
                    self._model, self._texts.index, unit.cell, missing[first : first + _SENTENCES]
                )
        return {sentence: unit.sign * found[sentence].astype(np.float64) for sentence in sentences}

    def random_direction(self, unit: Unit, seed: int) -> Known:
        """A fake: the cell's key, turned at random, which is above 0 at as many positions.

        Cost: the first time, one pass of the model over `_POOL` positions, and their states of all layers on disk meanwhile.
        """
        with self._lock:
            place, row = self._model.cells.place(unit.cell)
            states = self._states_of_pool()
            inputs = states.inputs(place)
            turned = TurnedCells(self._model, place, np.array([row]), inputs, seed=seed)
            values = unit.sign * turned.coefficients(inputs)[:, 0].astype(np.float64)
        return self._known(values)

    def _known(self, values: np.ndarray) -> Known:
        tokens = self._pool[1]
        finite = np.isfinite(values)
        tokens, values = tokens[finite], values[finite]
        sample = positions(tokens, values)
        naming = sample.where(self._texts.halves.is_in("naming", tokens))
        order = np.lexsort((tokens, -values))
        best: dict[int, int] = {}
        for place, sentence in zip(
            order.tolist(), self._texts.index.text.sentence_of(tokens[order]).tolist(), strict=True
        ):
            if values[place] <= 0 or len(best) == self._texts.index.top:
                break
            best.setdefault(sentence, place)
        top: Positions = sample.where(np.array([*best.values()], dtype=np.int64))
        maximum = float(values.max(initial=0.0))
        return Known(top, sample, tokens[values <= 0], maximum, threshold_of(naming))

    @cached_property
    def _pool(self) -> tuple[list[int], np.ndarray, np.ndarray]:
        """Random sentences, their positions, and the first position of each."""
        text, texts = self._texts.index.text, self._texts
        rng = np.random.default_rng([texts.seed, 27])
        n_sentences = texts.index.manifest.counts.n_sentences
        chosen: list[int] = []
        tokens, firsts, n = [], [], 0
        for sentence in rng.permutation(n_sentences)[:_POOL].tolist():
            first, end = text.sentence_range(sentence)
            own = texts.indexed(np.arange(first, end))
            if not len(own):
                continue
            chosen.append(sentence)
            tokens.append(own)
            firsts.append(int(own[0]) - first)
            n += len(own)
            if n >= _POOL:
                break
        return chosen, np.concatenate(tokens), np.array(firsts, dtype=np.int64)

    def _states_of_pool(self) -> States:
        if self._states is None:
            sentences, _, first = self._pool
            text, options = self._texts.index.text, self._texts.index.manifest.options
            ids = [text.token_id[slice(*text.sentence_range(one))].astype(np.int64) for one in sentences]
            none = [np.empty(0, dtype=np.int64)] * self._model.facts.n_layers
            self._folder = tempfile.TemporaryDirectory(prefix="ffmem-")
            self._states = states_at(
                self._model, options.bos, ids, first, none, inputs=True, folder=Path(self._folder.name)
            )
        return self._states

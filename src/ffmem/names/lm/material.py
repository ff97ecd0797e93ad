"""What is shown and asked of units and of what stands in their places: made wherever it is needed, always the same."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from ffmem.names.halves import Half
from ffmem.names.lm import controls
from ffmem.names.lm.controls import Fake, Task
from ffmem.names.lm.examples import Shown, shown_of
from ffmem.names.lm.items import Items, fuzzing_items, items_of, sentences_to_look_up, simulation_items
from ffmem.names.lm.judge import Measure
from ffmem.names.lm.known import Coefficients, Known, Unit, at, candidates, known_of, with_silent
from ffmem.names.lm.run import Failed
from ffmem.names.lm.texts import Texts

_FEWEST = 3
"""Firing positions of a half, below which a unit cannot be named or judged."""


class AskedModel(Protocol):
    """The model of the index: see `from_model.FromModel`."""

    @property
    def can_turn(self) -> bool:
        """Whether random directions can be made."""

    def coefficients(self, unit: Unit, sentences: Sequence[int]) -> Coefficients:
        """The coefficients of a unit at the own tokens of some sentences, times its sign."""

    def random_direction(self, unit: Unit, seed: int) -> Known:
        """A fake: the cell's key, turned at random."""


class NotAsked:
    """In the place of a model for a plan, for which none is asked."""

    can_turn = True

    def coefficients(self, unit: Unit, sentences: Sequence[int]) -> Coefficients:
        """Nobody asks."""
        raise NotImplementedError

    def random_direction(self, unit: Unit, seed: int) -> Known:
        """Nobody asks."""
        raise NotImplementedError


@dataclass(frozen=True)
class Material:
    """Makes what is shown and asked."""

    texts: Texts
    model: AskedModel | None
    """None: without the model of the index."""
    measures: tuple[Measure, ...]
    seed: int = 0

    @property
    def fakes(self) -> tuple[Fake, ...]:
        """The kinds of fakes that can be made."""
        if self.model is None:
            return tuple(one for one in controls.FAKES if one not in controls.WITH_MODEL)
        return tuple(one for one in controls.FAKES if one != "random direction" or self.model.can_turn)

    def shown(self, task: Task, draw: int = 0, *, look_up: bool = True) -> Shown | Failed:
        """What the labeller is shown of a unit or a fake, or why there is nothing to show.

        Args:
            task: which.
            draw: another number shows other examples.
            look_up: ask the model; else what is made is only as long.
        """
        known = self._known(task, "naming", look_up)
        if isinstance(known, Failed):
            return known
        shown = shown_of(self.texts, task.unit, known, self._seed(task, "shown"), draw=draw)
        if len(shown.triggers) + len(shown.weaker) < _FEWEST:
            return Failed("it fires at too few positions of the half that names are made from")
        return shown

    def items(self, task: Task, *, choosing: bool = False, look_up: bool = True) -> Items | Failed:
        """What the judge is asked about a unit or a fake; of fakes positions alone."""
        known = self._known(task, "judging", look_up)
        if isinstance(known, Failed):
            return known
        rng = self._rng(task, "items")
        found = items_of(
            self.texts, known, rng, choosing=choosing, intruders=task.fake is None and "intruder" in self.measures
        )
        if sum(one.fires for one in found.detection) < _FEWEST:
            return Failed("it fires at too few positions of the half that judges")
        if task.fake is not None or self.model is None:
            return found
        return self._with_sentences(task.unit, known, found, look_up)

    def decoyed(self, unit: Unit, *, look_up: bool = True) -> Items | Failed:
        """What the judge is asked about a true unit under a name that is not its own: firing and hard positions."""
        found = self.items(Task(unit), look_up=look_up)
        if isinstance(found, Failed):
            return found
        return Items(tuple(one for one in found.detection if one.group != "random"))

    def _with_sentences(self, unit: Unit, known: Known, found: Items, look_up: bool) -> Items:
        rng = self._rng(Task(unit), "sentences")
        top, random = sentences_to_look_up(self.texts, known, rng)
        wanted = {"fuzzing", "simulation"} & {*self.measures}
        if not wanted or self.model is None:
            return found
        coefficients = (
            self.model.coefficients(unit, [*top, *random]) if look_up else self._stand_in([*top, *random], known, rng)
        )
        fuzzed = fuzzing_items(self.texts, known, top, coefficients, rng) if "fuzzing" in wanted else ()
        simulated = simulation_items(self.texts, top, random, coefficients) if "simulation" in wanted else ()
        return replace(found, fuzzing=fuzzed, simulation=simulated)

    def _stand_in(self, sentences: list[int], known: Known, rng: np.random.Generator) -> dict[int, np.ndarray]:
        """Numbers in the place of coefficients, for a plan."""
        found = {}
        for sentence in sentences:
            first, end = self.texts.index.text.sentence_range(sentence)
            found[sentence] = np.where(np.arange(end - first) == rng.integers(end - first), known.maximum, -1.0)
        return found

    def _known(self, task: Task, half: Half, look_up: bool) -> Known | Failed:
        """What is known of where a unit or a fake fires in a half."""
        if task.fake == "random direction" and self.model is not None and look_up:
            if task.unit.cell.dictionary:
                return Failed(
                    "no direction is drawn for a cell of a dictionary, which need not read what the layer reads"
                )
            return self.model.random_direction(task.unit, self._seed(task, "direction"))
        if task.other is not None and half == "naming":
            return self._of_unit(task.other, half, look_up)
        if task.fake == "random positions":
            found = controls.at_random_positions(
                self.texts, known_of(self.texts, task.unit), half, self._rng(task, "random " + half)
            )
            return found or Failed("there are too few random positions for a fake")
        if task.fake == "own last tokens" and look_up:
            return self._own_last_tokens(task, half)
        return self._of_unit(task.unit, half, look_up)

    def _of_unit(self, unit: Unit, half: Half, look_up: bool) -> Known:
        known = known_of(self.texts, unit)
        rng = self._rng(Task(unit), "candidates " + half)
        asked = candidates(self.texts, known, half, rng)
        if self.model is None or not len(asked):
            return known
        if not look_up:
            return replace(known, silent=np.union1d(known.silent, asked))
        sentences = np.unique(self.texts.index.text.sentence_of(asked)).tolist()
        return with_silent(self.texts, known, asked, self.model.coefficients(unit, sentences))

    def _own_last_tokens(self, task: Task, half: Half) -> Known | Failed:
        assert self.model is not None
        known = known_of(self.texts, task.unit)
        asked = controls.wanted_silent(self.texts, known, half, self._rng(task, "own " + half))
        silent = asked
        if len(asked):
            sentences = np.unique(self.texts.index.text.sentence_of(asked)).tolist()
            silent = asked[at(self.texts, asked, self.model.coefficients(task.unit, sentences)) <= 0]
        found = controls.at_own_last_tokens(self.texts, known, half, silent)
        return found or Failed("the cell is silent at too few positions with its triggers' last tokens")

    def _seed(self, task: Task, what: str) -> int:
        """A number that index, seed and unit decide, whatever else is done in the run."""
        text = f"{self.seed} {task.unit.cell} {task.unit.sign} {task.fake} {task.other} {what}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")

    def _rng(self, task: Task, what: str) -> np.random.Generator:
        return np.random.default_rng(self._seed(task, what))

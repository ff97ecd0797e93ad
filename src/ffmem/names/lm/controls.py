"""Units that are none, and names that are others': mixed in blind, so that each run says how often it is deceived."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from ffmem.names.halves import Half
from ffmem.names.lm.known import Known, Positions, Unit, positions
from ffmem.names.lm.texts import Texts

Fake = Literal["random positions", "another cell's triggers", "own last tokens", "random direction"]
"""What stands in the place of a unit: nothing; another unit, held to this one; the words without the unit; a direction of the
stream that no cell has."""
FAKES: tuple[Fake, ...] = get_args(Fake)
WITH_MODEL: tuple[Fake, ...] = ("own last tokens", "random direction")
"""Fakes that cannot be made without the model of the index."""
Decoy = Literal["another cell's name", "a common word", "no name"]
"""What stands in the place of a true unit's name."""
DECOYS: tuple[Decoy, ...] = get_args(Decoy)
COMMON_WORD, NO_NAME = "a common English word", ""
UNITS_PER_FAKE, UNITS_PER_DECOY = 8, 10
"""At most, of each layer: so a tenth of all calls, or more, are those of controls."""
LEAST_HARD = 0.6
"""A name passes from this balanced accuracy on hard negatives on ..."""
PERCENTILE = 0.95
"""... if it is also above this quantile of the fakes."""
ENOUGH_FAKES = 20
"""Of a layer; where it has fewer, those of the nearest layers count with them."""
MOST_DECEIVED = 0.05
"""If more fakes than these pass, the labels of a run are not to be trusted."""
_LEAST_TOKENS = {"naming": 8, "judging": 5}
_WANTED = {"naming": 24, "judging": 30}


@dataclass(frozen=True)
class Task:
    """A unit to be named, or what stands in its place."""

    unit: Unit
    """Of a fake: the unit that it is made like."""
    fake: Fake | None = None
    other: Unit | None = None
    """Whose triggers are shown, where another cell's are."""

    @property
    def group(self) -> str:
        """In the report."""
        return "cells" if self.fake is None else f"fake: {self.fake}"


def layer_tasks(units: Sequence[Unit], kinds: Sequence[Fake], first: int, rng: np.random.Generator) -> list[Task]:
    """The units of a layer and its fakes, in random order.

    Args:
        units: of the layer.
        kinds: of fakes that can be made.
        first: the number of the first fake in the run: kinds take turns.
        rng: of the draws.
    """
    tasks = [Task(unit) for unit in units]
    n_fakes = -(-len(units) // UNITS_PER_FAKE)
    hosts = rng.permutation(len(units))
    for number in range(n_fakes):
        host = units[hosts[number % len(units)]]
        kind = kinds[(first + number) % len(kinds)]
        others = [one for one in units if one.cell != host.cell]
        if kind == "another cell's triggers" and not others:
            kind = "random positions"
        other = others[int(rng.integers(len(others)))] if kind == "another cell's triggers" else None
        tasks.append(Task(host, kind, other))
    return [tasks[i] for i in rng.permutation(len(tasks))]


def layer_decoys(names: Mapping[Unit, str], first: int, rng: np.random.Generator) -> list[tuple[Unit, Decoy, str]]:
    """Some named units of a layer, each with a name that is not its own.

    Args:
        names: of the true units of the layer.
        first: the number of the first decoy in the run: kinds take turns.
        rng: of the draws.
    """
    units = list(names)
    found: list[tuple[Unit, Decoy, str]] = []
    n_decoys = -(-len(units) // UNITS_PER_DECOY)
    for number, place in enumerate(rng.permutation(len(units))[:n_decoys].tolist()):
        kind = DECOYS[(first + number) % len(DECOYS)]
        others = [one for one in units if names[one] != names[units[place]]]
        if kind == "another cell's name" and not others:
            kind = "a common word"
        name = {"a common word": COMMON_WORD, "no name": NO_NAME}.get(kind)
        found.append((units[place], kind, names[others[int(rng.integers(len(others)))]] if name is None else name))
    return found


def in_other_places(texts: Texts, known: Known, half: Half, tokens: np.ndarray, silent: np.ndarray) -> Known | None:
    """What is known of a unit, with other positions in the place of those of a half at which it fires.

    Args:
        texts: the text.
        known: of the unit, whose coefficients stay.
        half: the only one that the result is made for.
        tokens: the other positions.
        silent: positions at which the fake is said to be silent.

    Returns:
        None if there are too few positions.
    """
    if len(tokens) < _LEAST_TOKENS[half]:
        return None
    top, sample = (one.where(texts.halves.is_in(half, one.tokens)) for one in (known.top, known.sample))
    moved = sample.coefficients >= min(known.threshold, known.maximum * 2.0**-4)
    moved &= sample.coefficients > 0
    strong, rest = sample.where(moved), sample.where(~moved)
    n_top = min(len(top), len(tokens) // 3) if half == "naming" else 0
    n_strong = min(len(strong), len(tokens) - n_top)
    # of each tenth some, so that what is left has the strengths of all
    chosen = strong.where(np.linspace(0, len(strong) - 1, n_strong).round().astype(int)) if n_strong else strong
    new = Positions(tokens[n_top : n_top + n_strong], chosen.coefficients, chosen.weights)
    return Known(
        top=positions(tokens[:n_top], top.coefficients[:n_top]) if n_top else positions(tokens, np.ones(len(tokens))),
        sample=Positions(*(np.concatenate([getattr(one, name) for one in (new, rest)])
                           for name in ("tokens", "coefficients", "weights"))),
        silent=np.setdiff1d(silent, tokens),
        maximum=known.maximum,
        threshold=known.threshold,
    )  # fmt: skip


def at_random_positions(texts: Texts, known: Known, half: Half, rng: np.random.Generator) -> Known | None:
    """A fake that fires at random positions, and is silent at others with the same last tokens."""
    tokens = texts.drawn(half, _WANTED[half], rng)
    alike = [texts.with_last(tokens, half, _WANTED[half], rng, two=two) for two in (False, True)]
    silent = np.concatenate([*alike, texts.pool(half)[:100], known.silent[texts.halves.is_in(half, known.silent)]])
    return in_other_places(texts, known, half, tokens, np.unique(silent))


def wanted_silent(texts: Texts, known: Known, half: Half, rng: np.random.Generator) -> np.ndarray:
    """Positions with a trigger's last token of which the model must say whether the unit is silent there."""
    return texts.with_last(known.top.tokens, half, 2 * _WANTED[half], rng) if len(known.top) else known.top.tokens


def at_own_last_tokens(texts: Texts, known: Known, half: Half, silent: np.ndarray) -> Known | None:
    """A fake that fires at some positions with the triggers' last tokens and not at others: the unit is silent at all."""
    return in_other_places(texts, known, half, silent[::2], np.concatenate([silent[1::2], known.silent]))


def only_of(known: Known, texts: Texts, half: Half) -> Known:
    """What is known of one half alone."""
    return replace(
        known,
        top=known.top.where(texts.halves.is_in(half, known.top.tokens)),
        sample=known.sample.where(texts.halves.is_in(half, known.sample.tokens)),
    )


def limits(layers: Sequence[int], fakes: Sequence[tuple[int, float]]) -> dict[int, float]:
    """Of each layer what a name's balanced accuracy on hard negatives must be above: the `PERCENTILE` of its fakes.

    Args:
        layers: places.
        fakes: of each fake its layer, and that accuracy.
    """
    return {layer: limit(layer, fakes) for layer in layers}


def limit(layer: int, fakes: Sequence[tuple[int, float]]) -> float:
    """See `limits`; no less than `LEAST_HARD` is asked for anyway."""
    by_distance = sorted(fakes, key=lambda one: (abs(one[0] - layer), one[0]))
    if not by_distance:
        return -np.inf
    reach = abs(by_distance[min(len(by_distance), ENOUGH_FAKES) - 1][0] - layer)
    near = [value for place, value in by_distance if abs(place - layer) <= reach]
    return float(np.quantile(near, PERCENTILE, method="higher"))


def passes(hard: float | None, above: float) -> bool:
    """Whether a name with this balanced accuracy on hard negatives passes."""
    return hard is not None and hard >= LEAST_HARD and hard > above

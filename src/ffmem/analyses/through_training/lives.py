"""Which cells are alive at each moment: deaths, revivals, and cells that turn off.

Of a ReLU layer a cell is dead if it is active nowhere in the indexed text. Other activations are never exactly 0: there a cell
is dead if its energy, the sum of m^2 |v|^2, is less than a millionth of its layer's. Either way: dead on this text.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64

from ffmem.store.arrays import LayerArrays, total_of
from ffmem.store.facts import ModelFacts

DEAD_ENERGY = 1e-6
"""Share of the energy of its layer below which a cell that is no ReLU is dead."""
OFTEN, SELDOM = 1e-2, 1e-3
"""A cell turns off if it was active at this share of positions, and is at less than that from then on."""


@dataclass(frozen=True)
class Flow:
    """What happens to the cells of a layer between two moments; alive after = alive before - deaths + revivals."""

    n_before: int
    """Alive at the first of them."""
    n_deaths: int
    """Alive before, dead after."""
    n_for_good: int
    """Of these, dead at every later moment, too."""
    n_revivals: int
    """Dead before, alive after."""
    n_births: int
    """Of these, dead at every earlier moment."""
    n_after: int
    """Alive at the second."""
    n_turned_off: int
    """Cells that turn off at the second: see `turned_off`."""


def is_relu(facts: ModelFacts) -> bool:
    """Whether a coefficient is exactly 0 where a cell is silent."""
    return facts.activation.startswith("relu") and not facts.gated


def active_fraction(arrays: LayerArrays, group_size: int) -> Float64[np.ndarray, "cells"]:
    """The share of positions at which each cell of a layer has a coefficient above 0; of an expert's, of those routed to it."""
    n = np.repeat(np.maximum(arrays.counts[:, 0], 1), group_size)
    found: np.ndarray = arrays.n_active / n
    return found


def energy(arrays: LayerArrays, value_norms: Float[np.ndarray, "cells"]) -> Float64[np.ndarray, "cells"]:
    """What each cell of a layer has of its energy: the sum of m^2 |v|^2 over all positions, over that of all cells."""
    own = total_of(arrays.square_sum) * np.asarray(value_norms, dtype=np.float64) ** 2
    whole = own.sum()
    found: np.ndarray = own / whole if whole > 0 else np.zeros_like(own)
    return found


def turned_off(fractions: Float[np.ndarray, "moments cells"]) -> Bool[np.ndarray, "moments cells"]:
    """Whether each cell turns off at each moment: from it on it is active at less than 0.1 %, and was at 1 % or more."""
    seldom = fractions < SELDOM
    for_good = np.logical_and.accumulate(seldom[::-1])[::-1]
    begins = for_good.copy()
    begins[1:] &= ~for_good[:-1]
    before = np.logical_or.accumulate(fractions >= OFTEN)
    found: np.ndarray = begins & before
    return found


def flows(alive: Bool[np.ndarray, "moments cells"], off: Bool[np.ndarray, "moments cells"]) -> tuple[Flow, ...]:
    """What happens between each moment and the next.

    Args:
        alive: whether each cell is, at each moment.
        off: what `turned_off` gave.
    """
    found = []
    for number in range(1, len(alive)):
        before, after = alive[number - 1], alive[number]
        dies, comes = before & ~after, ~before & after
        found.append(
            Flow(
                n_before=int(before.sum()),
                n_deaths=int(dies.sum()),
                n_for_good=int((dies & ~alive[number:].any(0)).sum()),
                n_revivals=int(comes.sum()),
                n_births=int((comes & ~alive[:number].any(0)).sum()),
                n_after=int(after.sum()),
                n_turned_off=int(off[number].sum()),
            )
        )
    return tuple(found)

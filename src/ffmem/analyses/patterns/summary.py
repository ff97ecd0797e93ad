"""Patterns of units -> labels of their triggers, and a layer in numbers."""

from collections.abc import Sequence
from typing import get_args

import numpy as np
from jaxtyping import Bool, Int64, UInt32

from ffmem.analyses.intervals import Estimate, mean, proportion
from ffmem.analyses.patterns.kinds import CLASS_OF
from ffmem.analyses.patterns.results import Found, Label, LayerPatterns

LABELS: tuple[Label, ...] = get_args(Label)


def label_triggers(
    counted: Bool[np.ndarray, "units slots"],
    shallow: UInt32[np.ndarray, "units"],
    semantic: UInt32[np.ndarray, "units"],
) -> Int64[np.ndarray, "triggers"]:
    """The label of each trigger that counts, as its number in `LABELS`, unit by unit.

    Args:
        counted: which slots hold a trigger that counts.
        shallow: the triggers of each unit with a shallow or lexical pattern, bit 0 for the first.
        semantic: those with a semantic one.
    """
    has_shallow, has_semantic = (_bits(sets, counted.shape[1])[counted] for sets in (shallow, semantic))
    return np.select(
        [has_shallow & has_semantic, has_shallow, has_semantic],
        [LABELS.index(name) for name in ("shallow+semantic", "shallow", "semantic")],
        LABELS.index("not-covered"),
    )


def summarise(
    layer: str, counted: Bool[np.ndarray, "units slots"], found: Sequence[Found], *, seed: int = 0
) -> LayerPatterns:
    """A layer in numbers, over its units that have a trigger.

    Args:
        layer: its name.
        counted: which slots hold a trigger that counts.
        found: of each kind.
        seed: of the bootstraps, which draw units.
    """
    n_units, n_slots = counted.shape
    shallow, semantic = np.zeros((2, n_units), dtype=np.uint32)
    for one in found:
        sets = semantic if CLASS_OF[one.kind] == "semantic" else shallow
        np.bitwise_or.at(sets, one.unit[one.accepted], one.triggers[one.accepted])
    unit = np.repeat(np.arange(n_units), counted.sum(1))
    label = label_triggers(counted, shallow, semantic)
    labels = {name: mean(label == number, unit, seed=seed) for number, name in enumerate(LABELS)}
    is_semantic = np.isin(label, [LABELS.index(name) for name in ("semantic", "shallow+semantic")])
    fired = counted.any(1)
    n_fired = int(fired.sum())
    covered = {}
    for one in found:
        sets = np.zeros(n_units, dtype=np.uint32)
        np.bitwise_or.at(sets, one.unit[one.accepted], one.triggers[one.accepted])
        covered[one.kind] = float(_bits(sets, n_slots)[counted].mean()) if len(unit) else np.nan
    return LayerPatterns(
        layer=layer,
        n_units=n_fired,
        n_triggers=len(unit),
        labels=labels,
        coverage=_complement(labels["not-covered"]),
        semantic=mean(is_semantic, unit, seed=seed),
        patterns_per_unit=mean(_n_different(found, n_units)[fired], seed=seed),
        units_with_pattern=proportion(int(((shallow | semantic) > 0).sum()), n_fired),
        units_with_kind={one.kind: proportion(len(np.unique(one.unit[one.accepted])), n_fired) for one in found},
        covered_by_kind=covered,
    )


def _bits(sets: UInt32[np.ndarray, "units"], n_slots: int) -> Bool[np.ndarray, "units slots"]:
    return (sets[:, None] >> np.arange(n_slots, dtype=np.uint32) & 1).astype(bool)


def _n_different(found: Sequence[Found], n_units: int) -> Int64[np.ndarray, "units"]:
    """See `LayerPatterns.patterns_per_unit`."""
    rows = np.concatenate(
        [
            np.stack([one.unit, one.triggers, np.full(len(one.unit), CLASS_OF[one.kind] == "semantic")])[
                :, one.accepted
            ]
            for one in found
        ],
        axis=1,
    )
    return np.bincount(np.unique(rows, axis=1)[0].astype(np.int64), minlength=n_units)


def _complement(share: Estimate) -> Estimate:
    return Estimate(1 - share.value, 1 - share.high, 1 - share.low, share.n)

"""Key and value of a cell in one look: what it fires on, and what that promotes."""

from collections import Counter
from dataclasses import dataclass
from math import exp

import numpy as np

from ffmem.cell import Cell
from ffmem.json_values import Record
from ffmem.store.reader import Index

_N_TOKENS = 6
TOP = 10
"""Promoted tokens whose probabilities are added up."""


@dataclass(frozen=True)
class Shown(Record):
    """A token, and how long its bar is."""

    token: str
    share: float | None
    """Fires on: of the triggers. Says: of the first token's score, or probability. None: no bar says anything."""
    n: int | None = None
    """Triggers that fire on it."""


@dataclass(frozen=True)
class Glance(Record):
    """Both ends of a cell, for coefficients of one sign."""

    sign: int
    n_triggers: int
    fires_on: tuple[Shown, ...]
    says: tuple[Shown, ...]
    """What a coefficient of this sign promotes."""


@dataclass(frozen=True)
class PromotedShape(Record):
    """How far a value's first tokens stand out, against the other cells of the layer."""

    n_tokens: int
    """That are stored at each end."""
    lead: float
    """The first token's score less that of the last stored one."""
    lead_quantile: float
    """Share of the layer's cells whose lead is smaller."""
    top_mass: float | None
    """Probability of the first `TOP` together; None unless scores are log-probabilities."""
    top_mass_quantile: float | None
    """Share of the layer's cells whose first ones have less."""


def glances(cell: Cell, n_signs: int, projection: str) -> tuple[Glance, ...]:
    """One for each sign, from the triggers that the cell comes with."""
    found = []
    for sign in (1, -1)[:n_signs]:
        fired = Counter(one.tokens[one.position] for one in cell.triggers if one.sign == sign)
        n = sum(fired.values())
        tokens = (cell.promoted if sign > 0 else cell.suppressed)[:_N_TOKENS]
        says = [Shown(one.token, _share(one.logit, tokens[0].logit, sign, projection == "adaptive")) for one in tokens]
        on = [Shown(token, k / n, k) for token, k in fired.most_common(_N_TOKENS)]
        found.append(Glance(sign, n, tuple(on), tuple(says)))
    return tuple(found)


def _share(score: float, first: float, sign: int, is_log: bool) -> float | None:
    if is_log:
        return exp(score - first) if sign > 0 else None
    return min(max(score / first, 0.0), 1.0) if first * sign > 0 else None


@dataclass(frozen=True)
class LayerShapes:
    """Of each cell of a layer, how far the first tokens of its value stand out."""

    leads: np.ndarray
    top_masses: np.ndarray | None


def layer_shapes(index: Index, place: int) -> LayerShapes:
    """See `LayerShapes`; worth keeping, since every cell of a layer is held against it.

    Cost: a look at all promoted scores of the layer.
    """
    scores = np.asarray(index.layer(place).promoted_scores)
    is_log = index.manifest.layer_projections[place] == "adaptive"
    masses = np.exp(scores[:, :TOP].astype(np.float64)).sum(1) if is_log else None
    return LayerShapes(scores[:, 0].astype(np.float64) - scores[:, -1], masses)


def promoted_shape(cell: Cell, row: int, shapes: LayerShapes) -> PromotedShape:
    """How far a value's first tokens stand out.

    Args:
        cell: which.
        row: of it in its layer.
        shapes: of the layer.
    """
    leads, masses = shapes.leads, shapes.top_masses
    lead, n = float(leads[row]), len(cell.promoted)
    quantile = float((leads < lead).mean())
    if masses is None:
        return PromotedShape(n, lead, quantile, None, None)
    return PromotedShape(n, lead, quantile, float(masses[row]), float((masses < masses[row]).mean()))

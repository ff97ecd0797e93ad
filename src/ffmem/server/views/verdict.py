"""The verdict on a prompt: what the model says next, what that comes from, and what changes do to it, in a sentence each."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ffmem.cell import Name
from ffmem.ids import CellId

if TYPE_CHECKING:
    from ffmem.analyses.explain import Explanation, NextToken

_N_PARTS = 3
"""Parts that are named for the token, and as many that are named against it at most."""


@dataclass(frozen=True)
class Part:
    """A part of the exact sum: a cell, attention of a layer, or the embedding."""

    what: str
    """"cell", "attention" or "embedding"."""
    where: str
    """The cell, or the layer."""
    share: float
    after: float | None = None
    """With the changes; None without some, or if it is no longer among the largest."""
    cell: CellId | None = None
    name: Name | None = None


@dataclass(frozen=True)
class Verdict:
    """What is said on top of the page."""

    target: str
    probability: float
    rank: int
    score: float
    """Of the target, or the difference of the scores."""
    other: str | None
    """The token that it is compared with, or else the most probable other one."""
    other_probability: float | None
    asked: bool
    """Whether the other token was asked for, so that shares are of the difference."""
    parts: tuple[Part, ...]
    """The largest that speak for the target."""
    opposed: tuple[Part, ...]
    """The largest that speak against it, if they are as large as the smallest that is named for it."""
    after_probability: float | None = None
    after_score: float | None = None
    after_other: float | None = None
    after_first: str | None = None
    """The most probable token with the changes, if it is another one than before."""


def verdict(found: "Explanation", after: "Explanation | None" = None) -> Verdict:
    """What an explanation comes to; see `Verdict`.

    Args:
        found: the exact sum.
        after: the same of the changed model.
    """
    parts = sorted(_parts(found, after), key=lambda part: -abs(part.share))
    favour = tuple(part for part in parts if part.share > 0)[:_N_PARTS]
    least = min((part.share for part in favour), default=0.0)
    opposed = tuple(part for part in parts if part.share < 0 and -part.share >= least)[:_N_PARTS]
    runner_up = next((one for one in found.likely if one.token_id != found.target_id), None)
    asked = found.against is not None
    return Verdict(
        target=found.target,
        probability=found.probability,
        rank=found.rank,
        score=found.score,
        other=found.against if asked else (runner_up.token if runner_up else None),
        other_probability=found.against_probability if asked else (runner_up.probability if runner_up else None),
        asked=asked,
        parts=favour,
        opposed=opposed,
        after_probability=after.probability if after else None,
        after_score=after.score if after else None,
        after_other=_other_after(after, runner_up, asked),
        after_first=_first_after(found, after),
    )


def _parts(found: "Explanation", after: "Explanation | None") -> list[Part]:
    cells = {one.cell.cell: one.share for one in after.cells} if after else {}
    layers = {one.layer: one.attention for one in after.layers} if after else {}
    return [
        Part("embedding", "", found.embedding, after.embedding if after else None),
        *(Part("attention", one.layer, one.attention, layers.get(one.layer)) for one in found.layers),
        *(
            Part("cell", str(one.cell.cell), one.share, cells.get(one.cell.cell), one.cell.cell, one.cell.name)
            for one in found.cells
        ),
    ]


def _other_after(after: "Explanation | None", runner_up: "NextToken | None", asked: bool) -> float | None:
    if after is None:
        return None
    if asked:
        return after.against_probability
    known = (one.probability for one in after.likely if runner_up and one.token_id == runner_up.token_id)
    return next(known, None)


def _first_after(found: "Explanation", after: "Explanation | None") -> str | None:
    if after is None or not (found.likely and after.likely):
        return None
    first = after.likely[0]
    return first.token if first.token_id != found.likely[0].token_id else None

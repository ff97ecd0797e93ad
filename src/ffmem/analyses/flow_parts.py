"""A sum over everything that was added to the stream, part by part, and what of it is drawn.

Nothing here needs a model: `flow` makes the sums.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

from ffmem.json_values import JsonObject, Record, fields_to_json

if TYPE_CHECKING:
    from ffmem.analyses.activation import ActiveCell
    from ffmem.analyses.explain import CellShare

Kind = Literal["embedding", "head", "attention", "cell", "bias", "constant", "normalisers"]
"""What a part is. A head has a part for each token that it reads; "attention" is that of a layer which cannot be split."""
MOST_PARTS = 150
"""Parts that a picture has room for, and so cells of a sum that are named."""
USUAL_PARTS = 24
"""Parts that are drawn where no share is asked for."""


@dataclass(frozen=True)
class HeadShare:
    """What one head added."""

    head: int
    share: float
    by_source: tuple[float, ...]
    """From each token up to the position; they add up to the share."""


@dataclass(frozen=True)
class LayerSum:
    """What one layer added."""

    layer: str
    attention: float
    """All of attention together: heads and bias."""
    heads: tuple[HeadShare, ...]
    """Empty where they are not told apart."""
    attention_bias: float
    """What attention adds whatever it reads; 0 where heads are not told apart."""
    not_split: str
    """Why heads are not told apart; empty where they are."""
    cells: float
    """All cells together."""
    cells_above: float
    """Those that add."""
    cells_below: float
    """Those that take away: 0 or less."""
    n_cells: int
    """Cells with a part that is not 0."""
    largest: "tuple[CellShare, ...]"
    """Those of its cells that are among the largest of the whole sum."""
    bias: float
    """The b of y = sum of m_i v_i + b."""


@dataclass(frozen=True)
class Part:
    """One part of a sum."""

    name: str
    """"embedding", "L3.H5@2" (what head 5 of L3 took from token 2; special tokens before the text have negative numbers),
    "L9.203", "L3.attention", "L3.attention-bias", "L3.bias", "constant", "normalisers"."""
    kind: Kind
    share: float
    layer: int | None = None
    """Its place."""
    head: int | None = None
    source: int | None = None
    """The token that the head read, by its place among all tokens, special ones included."""
    cell: "ActiveCell | None" = None


@dataclass(frozen=True)
class Sum(Record):
    """A number, as the sum of what was added to the stream before it was read."""

    embedding: float
    layers: tuple[LayerSum, ...]
    constant: float
    """What does not depend on the text."""
    normalisers: float = 0.0
    """Of an adaptive softmax, of which no part has a share."""

    @property
    def total(self) -> float:
        """All parts together."""
        return self.constant + self.normalisers + self.embedding + sum(map(_total, self.layers))

    def parts(self, n_before: int) -> Iterator[Part]:
        """Every part that is told apart, in order; cells that are not among the largest are in none.

        Args:
            n_before: special tokens before the text.
        """
        yield Part("embedding", "embedding", self.embedding)
        for place, one in enumerate(self.layers):
            if one.not_split:
                yield Part(f"{one.layer}.attention", "attention", one.attention, place)
            for head in one.heads:
                for source, share in enumerate(head.by_source):
                    name = f"{one.layer}.H{head.head}@{source - n_before}"
                    yield Part(name, "head", share, place, head.head, source)
            yield Part(f"{one.layer}.attention-bias", "bias", one.attention_bias, place)
            for cell in one.largest:
                yield Part(str(cell.cell.cell), "cell", cell.share, place, cell=cell.cell)
            yield Part(f"{one.layer}.bias", "bias", one.bias, place)


def _total(one: LayerSum) -> float:
    attention = one.attention if one.not_split else sum(sum(head.by_source) for head in one.heads) + one.attention_bias
    return attention + one.cells + one.bias


@dataclass(frozen=True)
class Rest:
    """What a layer added beside the parts that are drawn."""

    layer: int
    n_parts: int
    """How many parts that is."""
    attention: float
    cells: float
    biases: float

    @property
    def share(self) -> float:
        """All of it."""
        return self.attention + self.cells + self.biases


@dataclass(frozen=True)
class Cut:
    """What of a sum is drawn: its largest parts, and for each layer the rest."""

    shown: tuple[Part, ...]
    """The largest first; pinned ones wherever they belong. The embedding is always there."""
    rests: tuple[Rest, ...]
    """One for each layer that has more."""
    ends: tuple[Part, ...]
    """Constant and normalisers, where they are not 0: of no layer, and in none of the shares below."""
    n_parts: int
    """Parts of the whole sum that are not 0."""
    above: float
    """How much of all that adds is drawn, 0 to 1."""
    below: float
    """How much of all that takes away."""
    both: float
    """How much of the sum of all sizes."""
    reach: float
    """The most that `both` can be: with as many parts as a picture has room for."""

    @property
    def total(self) -> float:
        """All that is drawn together: the whole sum."""
        return sum(one.share for one in (*self.shown, *self.ends)) + sum(one.share for one in self.rests)

    @property
    def largest(self) -> float:
        """The largest part that is drawn, in size; 1 if all are 0."""
        sizes = [abs(one.share) for one in self.shown] + [abs(one.share) for one in self.rests]
        return max(sizes, default=0.0) or 1.0

    def to_json(self) -> JsonObject:
        """The fields, and what they add up to."""
        return fields_to_json(self) | {"total": self.total}


def cut(
    whole: Sum, share: float | None, pinned: tuple[str, ...] = (), *, n_before: int = 0, most: int = MOST_PARTS
) -> Cut:
    """The fewest parts that have a share of the sum of all sizes, and the rest of each layer: together the whole sum.

    Args:
        whole: the sum.
        share: how much of the sum of all sizes is to be drawn, 0 to 1; None: what the first `USUAL_PARTS` have.
        pinned: names of parts that are drawn in any case.
        n_before: special tokens before the text.
        most: parts that are drawn at most, beside those that are pinned.
    """
    parts = [one for one in whole.parts(n_before) if one.share or one.kind == "embedding"]
    above, below, n_parts = _sizes(whole, parts)
    order = sorted(
        parts, key=lambda one: (one.kind != "embedding", -abs(one.share))
    )  # Python's sort keeps ties in order
    sizes = above - below
    n_shown, reached = 0, 0.0
    while n_shown < min(len(order), most):
        if n_shown >= 1 and (n_shown >= USUAL_PARTS if share is None else reached >= share - 1e-12):
            break
        reached += abs(order[n_shown].share) / (sizes or 1.0)
        n_shown += 1
    chosen = order[:n_shown] + [one for one in order[n_shown:] if one.name in pinned]
    shown = tuple(sorted(chosen, key=lambda one: -abs(one.share)))
    ends = (Part("constant", "constant", whole.constant), Part("normalisers", "normalisers", whole.normalisers))
    return Cut(
        shown=shown,
        rests=tuple(_rests(whole, parts, shown)),
        ends=tuple(one for one in ends if one.share),
        n_parts=n_parts,
        above=_of(sum(one.share for one in shown if one.share > 0), above),
        below=_of(sum(one.share for one in shown if one.share < 0), below),
        both=_of(sum(abs(one.share) for one in shown), sizes),
        reach=_of(sum(abs(one.share) for one in order[:most]), sizes),
    )


def _of(part: float, whole: float) -> float:
    return min(part / whole, 1.0) if whole else 1.0


def _sizes(whole: Sum, parts: list[Part]) -> tuple[float, float, int]:
    """All that adds, all that takes away, and how many parts that is: those of cells that have no part here, too."""
    shares = [one.share for one in parts if one.kind != "cell"]
    above = sum(one for one in shares if one > 0) + sum(one.cells_above for one in whole.layers)
    below = sum(one for one in shares if one < 0) + sum(one.cells_below for one in whole.layers)
    n_others = sum(one != 0 for one in shares)
    return above, below, n_others + sum(one.n_cells for one in whole.layers)


def _rests(whole: Sum, parts: list[Part], shown: tuple[Part, ...]) -> Iterator[Rest]:
    names = {one.name for one in shown}
    for place, layer in enumerate(whole.layers):
        rest = Rest(place, layer.n_cells, 0.0, layer.cells, 0.0)
        for one in parts:
            if one.layer != place:
                continue
            if one.kind == "cell":  # of those that are not drawn many have no part of their own
                if one.name in names:
                    rest = replace(rest, cells=rest.cells - one.share, n_parts=rest.n_parts - 1)
            elif one.name not in names:
                kind = "biases" if one.kind == "bias" else "attention"
                rest = replace(rest, n_parts=rest.n_parts + 1, **{kind: getattr(rest, kind) + one.share})
        if rest.n_parts:
            yield rest

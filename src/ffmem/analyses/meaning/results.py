"""What is found about meaning and depth: shares of variance, coherence of triggers, what transplants keep, layer by layer."""

from dataclasses import dataclass, field
from typing import Literal

from ffmem.analyses.intervals import Estimate

Measure = Literal[
    "token",
    "n-grams",
    "position",
    "earlier words",
    "earlier words, shuffled",
    "units with earlier words",
    "topic",
    "topic, shuffled",
    "units with topic",
    "unexplained",
    "coherence",
    "lift",
    "lift, same two words",
    "gain, same two words",
    "units above",
    "kept",
    "kept more with the same topic",
    "kept more by chance",
]
"""Of one layer.

Shares of the variance of coefficients (means over units): "token": what the last token tells of it on left-out documents;
"n-grams": what the last two and three add; "position": what the position adds to these; "topic" and "earlier words": what
each of them adds to all of these, alone, and "..., shuffled" with those of other documents or sentences; "unexplained": what
is left after earlier words. "units with ...": the share of units in which it adds something (the interval is above 0).

Of the strongest positions of each unit: "coherence": how alike they are (shares of pairs of one topic, or the mean cosine of
their earlier words); "lift": that over the coherence of random positions with the same last token, or the same last two;
"gain": the difference; "units above": the share of units more coherent than all draws of matched positions.

Of transplants: "kept": the share of the coefficient that is left when what stands before the last two tokens is replaced by
text from another document; "kept more with the same topic": what is left above that if it comes from a document of the same
topic; "kept more by chance": the same between two that do not."""


@dataclass(frozen=True)
class LayerMeaning:
    """One layer, over some of its cells, or over random directions of its stream."""

    layer: str
    n_cells: int
    """That are active often enough to say something of."""
    measures: dict[Measure, Estimate]
    """Those that could be told; documents are drawn."""


@dataclass(frozen=True)
class Trend:
    """How a measure goes with depth; documents are drawn."""

    correlation: Estimate
    """Spearman's, of the measure with the layer's place."""
    contrast: Estimate
    """The mean of the highest third of the layers less that of the lowest."""
    top: Estimate
    """The mean of the highest third."""
    bottom: Estimate
    """The mean of the lowest third."""


@dataclass(frozen=True)
class SizeMeaning:
    """The headlines from a part of the documents."""

    n_documents: int
    n_positions: int
    contrasts: dict[Measure, Estimate]
    """The mean of the highest third of the layers less that of the lowest."""


@dataclass(frozen=True)
class Meaning:
    """What decides the coefficients of a model's cells, layer by layer."""

    n_documents: int
    n_sentences: int
    n_positions: int
    n_transplanted: int
    """Positions whose beginnings were replaced."""
    n_cells: int
    """Drawn of each layer, at most."""
    has_labels: bool
    causal: bool
    """Whether earlier words are those before a position alone; else they are all other words of the sentence but the next."""
    likeness: Literal["topic", "earlier words"]
    """By what triggers are told alike."""
    smallest_lift: float
    """What a unit's triggers must have to stand above all draws: the median over units."""
    layers: tuple[LayerMeaning, ...]
    directions: tuple[LayerMeaning, ...]
    """Of random directions of the stream, as often active as the cells; empty if that could not be done."""
    trends: dict[Measure, Trend]
    of_directions: dict[Measure, Trend]
    differences: dict[Measure, Estimate]
    """The cells' mean of the highest third less that of random directions; each draw takes the same documents for both."""
    sizes: tuple[SizeMeaning, ...] = ()
    """From a tenth, a third and all of the documents."""
    left_out: tuple[str, ...] = field(default=())
    """What could not be asked, in words."""

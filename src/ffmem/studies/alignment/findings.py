"""What the study of alignments finds: error rates of every layer and head, and what follows from them."""

from dataclasses import dataclass

from ffmem.analyses.alignment.extract import WHOLE_LAYER, Measure, Reading
from ffmem.analyses.alignment.links import LeftOut, Link
from ffmem.analyses.alignment.scoring import Score
from ffmem.analyses.intervals import Estimate
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.studies.results import Findings

ERROR_RATES = "error-rates"
"""The experiment that gives the result."""


@dataclass(frozen=True)
class Row:
    """The links of one layer or head by one measure and reading."""

    layer: int
    """Of the decoder, from 0."""
    head: int | None
    """None: the layer as a whole."""
    measure: Measure
    reading: Reading
    score: Score

    @property
    def name(self) -> str:
        """``L1`` or ``L1.H2``."""
        return place_name(self.layer, self.head)


@dataclass(frozen=True)
class Other:
    """The links of something else, on the same pairs."""

    name: str
    score: Score


@dataclass(frozen=True)
class Correlation:
    """Of the error rate of heads, by norms, with their mean norm."""

    reading: Reading
    spearman: float
    pearson: float
    n_heads: int


@dataclass(frozen=True)
class Gain:
    """What norms gain over weights, of a whole layer."""

    layer: int
    reading: Reading
    difference: Estimate
    """AER of norms less AER of weights: below 0 where norms are better."""


@dataclass(frozen=True)
class AlignmentStudy:
    """Error rates of every layer and head."""

    model: str
    n_pairs: int
    against: str
    """What counts as right: "gold", or "silver": links of an aligner, symmetrised."""
    rows: tuple[Row, ...]
    mean_norms: list[list[float]]
    """Of each layer, and of its heads after it."""
    layer: int
    """That with the highest mean norm: chosen without gold links."""
    head: tuple[int, int]
    """Layer and head with the highest mean norm."""
    correlations: tuple[Correlation, ...]
    gains: tuple[Gain, ...]
    others: tuple[Other, ...]
    left_out: tuple[LeftOut, ...] = ()
    """Links that point beyond the words, of each file that has some, where they were left out."""

    def mean_norm(self, layer: int, head: int | None) -> float:
        """Of a layer, or of one of its heads."""
        return self.mean_norms[layer][WHOLE_LAYER if head is None else head + 1]

    def row(self, layer: int, head: int | None, measure: Measure, reading: Reading) -> Row:
        """One of the rows."""
        wanted = (layer, head, measure, reading)
        return next(row for row in self.rows if (row.layer, row.head, row.measure, row.reading) == wanted)

    def named(self, name: str) -> Row:
        """The row that is called so, as ``L1:AWI:norms`` or ``L1.H2:AWO:weights``.

        Raises:
            InputError: there is none.
        """
        for row in self.rows:
            if name == f"{row.name}:{row.reading}:{row.measure}":
                return row
        last = self.rows[-1]
        raise InputError(
            f"--pick is {name!r}, which is no layer or head of {self.model}",
            f"Expected a layer from L0 to L{last.layer} or a head such as {last.name}, then AWI or AWO, then weights or norms",
            "Write for example --pick L0:AWI:norms",
        )

    def layers(self, measure: Measure, reading: Reading) -> list[Row]:
        """The rows of whole layers."""
        return [row for row in self.rows if (row.head, row.measure, row.reading) == (None, measure, reading)]

    def heads(self, measure: Measure, reading: Reading) -> list[Row]:
        """The rows of heads."""
        return [row for row in self.rows if row.head is not None and (row.measure, row.reading) == (measure, reading)]

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {
            "model": self.model,
            "pairs": self.n_pairs,
            "against": self.against,
            "rows": [
                {
                    "place": row.name,
                    "measure": row.measure,
                    "reading": row.reading,
                    "mean_norm": self.mean_norm(row.layer, row.head),
                }
                | row.score.to_json()
                for row in self.rows
            ],
            "highest_mean_norm": {"layer": place_name(self.layer, None), "head": place_name(*self.head)},
            "correlations": [dict(one.__dict__) for one in self.correlations],
            "norms_less_weights": [
                {"layer": place_name(one.layer, None), "reading": one.reading} | one.difference.__dict__
                for one in self.gains
            ],
            "others": [{"name": one.name} | one.score.to_json() for one in self.others],
            "left_out": [one.to_json() for one in self.left_out],
        }


@dataclass(frozen=True)
class Picked:
    """The links of one layer or head."""

    name: str
    """As ``L1:AWI:norms``."""
    links: tuple[frozenset[Link], ...]
    """Of each pair."""


def study_in(findings: Findings) -> AlignmentStudy:
    """The result of the experiment."""
    return findings.get(ERROR_RATES, AlignmentStudy)


def is_there(findings: Findings) -> bool:
    """Whether the experiment is done."""
    return ERROR_RATES in findings.values


def place_name(layer: int, head: int | None) -> str:
    """``L1`` or ``L1.H2``, both from 0."""
    return f"L{layer}" if head is None else f"L{layer}.H{head}"

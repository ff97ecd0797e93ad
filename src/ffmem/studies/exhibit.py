"""One figure or table of a study: what is asked, the paper's numbers, claims with their tests, charts and tables as data.

A page, the explorer, a terminal, Markdown and files all show the same `Exhibit`; none of them knows what is in it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite
from typing import Any, Generic, Literal, TypeVar

from ffmem.analyses.intervals import Estimate
from ffmem.studies.verdicts import Test, Verdict

Found = TypeVar("Found")
Row = Mapping[str, Any]
"""A row of a chart or table: column -> text, number or None."""


@dataclass(frozen=True)
class Number:
    """A quantity that the paper gives too, or that stands beside one."""

    quantity: str
    paper: str
    """As the paper gives it; ~ for what was read off a figure, "-" where it gives no number."""
    ours: float
    """A share if the unit is "%"; NaN where there was nothing to estimate it from."""
    low: float | None = None
    """End of the 95 % interval; None, or NaN, where there is none: of a single document nothing is known of others."""
    high: float | None = None
    unit: str = "%"

    @classmethod
    def of(cls, quantity: str, paper: str, estimate: Estimate, unit: str = "%") -> "Number":
        """A quantity with an interval."""
        return cls(quantity, paper, estimate.value, estimate.low, estimate.high, unit)

    def text(self, *, interval: bool = True) -> str:
        """Ours, as a reader would write it; with its interval, if it has one."""
        if self.ours != self.ours:
            return "nothing to estimate it from"
        form = percent if self.unit == "%" else _plain_number
        ends = [one for one in (self.low, self.high) if one is not None and isfinite(one)]
        beside = f" ({form(ends[0])} to {form(ends[1])})" if interval and len(ends) == 2 else ""
        return f"{form(self.ours)}{f' {self.unit}' if self.unit else ''}{beside}"


@dataclass(frozen=True)
class Claim:
    """Something that the paper saw, held against this study."""

    statement: str
    test: Test
    why: str
    """The numbers that say so."""
    verdict: Verdict = "undecided"
    """Made with those of all other claims of a report: see `verdicts.judged`."""


@dataclass(frozen=True)
class Chart:
    """What is drawn, as data: `charts.draw` makes a picture of it."""

    name: str
    """Of its files and its address."""
    caption: str
    form: Literal["lines", "boxes", "shares", "bars", "points", "scatter", "heat", "panels", "spread", "courses"]
    rows: Sequence[Row]
    """lines: layer, name, series, value, low, high[, n]. boxes: layer, name, q5, q25, q50, q75, q95. shares: as lines, stacked.
    bars: category, value, low, high, n. points: middle, from, to, series, value, low, high, n.
    scatter: middle, name, series, value, low, high, n. heat: panel, row, column, value, label, boxes as they lie from the top.
    panels: panel, category, series, value, percent, bars as they lie from the top. spread: low, high, n, n_triggers, bins from
    left to right. courses: panel, middle, series, value, low, high, n."""
    y_title: str
    x_title: str = "layer"
    percent: bool = True
    log: bool = False
    from_zero: bool = True
    order: tuple[str, ...] = ()
    """Series or categories, as they are to be listed; by default as they come."""
    beside: str = ""
    """The name of the chart that this one stands beside: it shows the same of a control."""
    extent: tuple[float, float] | None = None
    """Ends of the axis of values, where it is to be that of another chart; by default as the numbers are. Of heat: the numbers
    of the palest and the darkest box."""
    line: float | None = None
    """Of a spread: where a line stands that parts its bins, counted in bins from the left."""
    holds_text: bool = False
    """Whether it quotes the corpus: see `Table`."""


@dataclass(frozen=True)
class Table:
    """Rows that stand beside a figure; the page shows the first, the file has all."""

    name: str
    """Of its file and its address."""
    caption: str
    columns: tuple[str, ...]
    """Those that the page shows; the file has all that the rows have."""
    rows: Sequence[Row]
    holds_text: bool = False
    """Whether rows quote the corpus, which a page that is given away may have to leave out."""
    folded: bool = False
    """Whether the page shows it only when it is asked to."""
    side_by_side: bool = False
    """Whether a document that holds studies beside one another has all its rows."""


def nothing(_: Any) -> tuple[()]:
    """None of them."""
    return ()


@dataclass(frozen=True)
class Exhibit(Generic[Found]):
    """A figure or table of a paper, or an addition to it. Functions take what the study found."""

    order: float
    """Where it stands on the page."""
    name: str
    """"Figure 4"; "Addition" for what the paper does not have."""
    title: str
    question: str
    definition: str
    conclude: str
    """What may be concluded, and what may not."""
    applies: Callable[[Found], bool]
    """Whether this study has what it is made of."""
    reading: Callable[[Found], str]
    """A sentence or two: what it came to here."""
    sample: Callable[[Found], str]
    """How much it was measured on."""
    numbers: Callable[[Found], Iterable[Number]] = nothing
    claims: Callable[[Found], Iterable[Claim]] = nothing
    charts: Callable[[Found], Iterable[Chart]] = nothing
    tables: Callable[[Found], Iterable[Table]] = nothing
    notes: Callable[[Found], Iterable[str]] = nothing
    """What else a reader must know: why a part is missing, for example."""


def percent(value: float) -> str:
    """A share as a reader would write it, in per cent: with more digits where it is small."""
    if 0 < abs(value) < 5e-7:
        return "below 0.0001"
    digits = 1 if abs(value) >= 0.0095 or value == 0 else 2 if abs(value) >= 0.00095 else 4
    return f"{100 * value:.{digits}f}"


def _plain_number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"

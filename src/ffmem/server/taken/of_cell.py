"""What the pages of one cell, of a text tried on it, and of cells near it have to take away."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ffmem.cell import Trigger
from ffmem.queries.bars import Density
from ffmem.queries.glance import Shown
from ffmem.server.taken.taking import Taken, bars, named, visible
from ffmem.server.views.cell import CellView
from ffmem.server.views.similar import SimilarView
from ffmem.studies.exhibit import Chart, Row

if TYPE_CHECKING:
    from ffmem.analyses.try_text import Tried

_DENSITY = ("from", "to", "n", "n_triggers")
_TRIGGER = (
    "sign", "rank", "coefficient", "token", "next_token", "text", "sentence_id", "position", "n_occurrences", "document",
)  # fmt: skip


def density(view: CellView, of: str, sign: int) -> Taken:
    """How the coefficients of one sign are spread: bins, and how many positions or sentences are in each."""
    name = f"density-{of}{'' if sign > 0 else '-negative'}"
    shown = [one for some in view.densities for one in some if one.of == of and one.sign == sign]
    if not shown:
        return Taken(name, _DENSITY, ())
    rows = tuple({"from": one.low, "to": one.high, "n": one.n, "n_triggers": one.n_triggers} for one in shown[0].bars)
    return Taken(name, _DENSITY, rows, _density_chart(view, name, shown[0]))


def _density_chart(view: CellView, name: str, one: Density) -> Chart:
    drawn = tuple({"low": bar.low, "high": bar.high, "n": bar.n, "n_triggers": bar.n_triggers} for bar in one.bars)
    size = "coefficient" if one.sign > 0 else "coefficient, negated"
    return Chart(
        name,
        f"{view.cell.cell}: {one.of} by {size}.",
        "spread",
        drawn,
        one.of,
        size,
        line=None if one.threshold_at is None else one.threshold_at * len(one.bars),
    )


def triggers(view: CellView) -> Taken:
    """Every trigger of the page, with its whole sentence."""
    return Taken("triggers", _TRIGGER, tuple(map(_trigger, view.cell.triggers)))


def _trigger(one: Trigger) -> Row:
    told = {name: getattr(one, name) for name in _TRIGGER if hasattr(one, name)}
    return told | {"token": one.tokens[one.position], "document": one.document.name}


def value(view: CellView) -> Taken:
    """The tokens at both ends of the value, with their scores."""
    ends = (("promotes", view.cell.promoted), ("suppresses", view.cell.suppressed))
    rows = tuple(
        {"end": end, "rank": rank, "token": one.token, "token_id": one.token_id, "score": one.logit}
        for end, some in ends
        for rank, one in enumerate(some)
    )
    drawn = [
        row
        for end, some in ends
        for row in bars(((f"{rank} {visible(one.token)}", one.logit) for rank, one in enumerate(some[:20])), panel=end)
    ]
    chart = Chart("value", f"{view.cell.cell}: what its value says.", "panels", drawn, "", "score") if drawn else None
    return Taken("value", ("end", "rank", "token", "token_id", "score"), rows, chart)


def glance(view: CellView) -> Taken:
    """What it fires on, and what that promotes, as the page has it at a glance."""
    rows = tuple(
        {"sign": one.sign, "side": side, "token": shown.token, "share": shown.share, "n": shown.n}
        for one in view.glances
        for side, some in (("fires on", one.fires_on), ("promotes", one.says))
        for shown in some
    )
    drawn = [
        row
        for one in view.glances
        for side, some, series in (("fires on", one.fires_on, "trigger"), ("promotes", one.says, "adds"))
        for row in bars(_lengths(some, one.sign), panel=f"{side}{', negative' if one.sign < 0 else ''}", series=series)
    ]
    chart = Chart("glance", f"{view.cell.cell} at a glance.", "panels", drawn, "", "") if drawn else None
    return Taken("glance", ("sign", "side", "token", "share", "n"), rows, chart)


def _lengths(some: tuple[Shown, ...], sign: int) -> list[tuple[str, float]]:
    return [(visible(one.token), one.share) for one in some if one.share is not None]


def strength(view: CellView) -> Taken:
    """Positions of every strength, and how many there are of each."""
    rows = tuple(
        {"sign": one.sign, "from": one.low, "to": one.high, "n_positions": one.n_positions, "share": one.share}
        | {"n_drawn": one.n_drawn}
        for one in view.cell.strata
    )
    return Taken("strength", ("sign", "from", "to", "n_positions", "share", "n_drawn"), rows)


def patterns(view: CellView) -> Taken:
    """What its triggers share, as a study found it."""
    columns = (
        "sign", "text", "pattern_class", "kind", "n_triggers", "frequency", "p_in_unit", "auc", "precision", "recall",
    )  # fmt: skip
    found = view.patterns or ()
    return Taken("patterns", columns, tuple(one.__dict__ | {"n_triggers": len(one.triggers)} for one in found))


def names(view: CellView) -> Taken:
    """Everything that was said of what it is called, the newest first."""
    columns = ("sign", "label", "source", "grade", "author", "made", "note", "tags", "is_current")
    rows = tuple(
        {"sign": one.sign, "label": said.label.text, "source": said.label.source, "grade": said.label.grade}
        | {"author": said.label.author, "made": said.label.made, "note": said.label.note, "tags": said.label.tags}
        | {"is_current": said.label.is_current}
        for one in view.said
        for said in reversed(one.labels)
    )
    return Taken("names", columns, rows)


CELL_PARTS: dict[str, Callable[[CellView], Taken]] = {
    "glance": glance,
    "names": names,
    "triggers": triggers,
    "density-positions": lambda view: density(view, "positions", 1),
    "density-sentences": lambda view: density(view, "sentences", 1),
    "density-positions-negative": lambda view: density(view, "positions", -1),
    "density-sentences-negative": lambda view: density(view, "sentences", -1),
    "value": value,
    "strength": strength,
    "patterns": patterns,
}
"""Parts of the page of a cell, by their names in its addresses."""


def tried(found: "Tried") -> Taken:
    """The coefficient at every token of a text that was tried, special ones without a number."""
    rows = tuple(
        {"number": one.number, "token": one.text, "coefficient": one.coefficient, "share": one.share}
        for one in found.tokens
    )
    drawn = bars((f"{'' if one.number is None else one.number} {visible(one.text)}", one.coefficient)
                 for one in found.tokens[:200])  # fmt: skip
    chart = Chart("tried", f"{found.cell} at each token.", "panels", drawn, "", "coefficient") if drawn else None
    return Taken("tried", ("number", "token", "coefficient", "share"), rows, chart)


def near(view: SimilarView) -> Taken:
    """The cells nearest to one."""
    rows = tuple(
        {"cell": one.cell, "name": named(one.name), "similarity": one.similarity, "n_shared": one.n_shared}
        | {"fires_on": one.trigger, "promotes": one.promoted}
        for one in view.similar.rows
    )
    return Taken("similar", ("cell", "name", "similarity", "n_shared", "fires_on", "promotes"), rows)

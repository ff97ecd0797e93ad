"""Charts as pictures, in Vega-Lite: the one file that knows the plotting library.

Layers count from 0, from the bottom; the papers count them from 1. Bands and bars are 95 % intervals. Colours are those of
Okabe & Ito and one of Tol, which colour-blind readers can tell apart; lines differ in their dashes, too. What a colour means
on a page of the explorer, it means here (`MEANING`).
"""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import altair as alt
import vl_convert

from ffmem.json_values import JsonObject, json_text
from ffmem.studies.exhibit import Chart, Row

Rows = Sequence[Row]
Picture = alt.LayerChart | alt.HConcatChart | alt.FacetChart
Drawn = TypeVar("Drawn", alt.LayerChart, alt.HConcatChart, alt.FacetChart)
MEANING = {
    "amount": "#0072B2",
    "trigger": "#CC79A7",
    "adds": "#009E73",
    "takes": "#BE4B00",
    "shallow": "#0072B2",
    "shallow+semantic": "#CC79A7",
    "semantic": "#009E73",
    "not-covered": "#B9C0C7",
}
"""What has one colour wherever it is drawn; the pages have the same in their sheet, brighter in the dark."""
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255"]
_PLAIN = _COLOURS[0]
_LENS = "#66AAD1"
"""The darkest box with letters in it: black on it can be read."""
_HEIGHT = 260
_PANEL, _N_BESIDE = 132, 4
"""Pixels of the width of a panel among many, and how many stand beside each other."""
_PERCENT = ".1%"
_MOST_NAMES = 20
"""Places that all have their names on an axis; of more, some are left out."""
_TENS = [10**i for i in range(9)]
_POWERS = [0, *(10**i for i in range(6))]


def draw(chart: Chart) -> Picture:
    """The picture of a chart; a notebook shows it."""
    forms: dict[str, Callable[[Chart, Rows], Picture]] = {
        "lines": _lines, "boxes": _boxes, "shares": _shares, "bars": _bars, "points": _points, "scatter": _scatter,
        "heat": _heat, "panels": _panels, "spread": _spread, "courses": _courses,
    }  # fmt: skip
    return forms[chart.form](chart, csv_rows(chart))


def spec(chart: Chart) -> JsonObject:
    """A chart as Vega-Lite, with its numbers in it; a browser draws it."""
    drawn: JsonObject = draw(chart).to_dict()
    return drawn


def csv_rows(chart: Chart) -> list[JsonObject]:
    """The numbers of a chart, as they are drawn: lines leave out what has no value."""
    rows = [dict(row) for row in chart.rows]
    if chart.form == "lines":
        return [row for row in rows if row["value"] is not None and not (chart.log and row["value"] <= 0)]
    if chart.form == "shares":
        order = _series(chart)
        return [row | {"order": order.index(row["series"])} for row in rows]
    return rows


def svg(drawn: JsonObject, width: int = 640) -> str:
    """A chart's Vega-Lite as a picture, made without a browser; one that knows how wide it is keeps to that."""
    wide = {"width": width} if drawn.get("width") == "container" else {}
    return str(vl_convert.vegalite_to_svg(drawn | wide))


def png(picture: str) -> bytes:
    """The same picture in pixels, two for each of its own."""
    return bytes(vl_convert.svg_to_png(picture, scale=2))


def script() -> str:
    """The JavaScript that draws charts in a browser, as one classic script: it sets ``window.vegaEmbed``."""
    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg] # its stub asks for what has a default


def _series(chart: Chart) -> list[str]:
    return list(chart.order or dict.fromkeys(row["series"] for row in chart.rows))


def _scale_of(names: Sequence[str]) -> alt.Scale:
    """The colours of series: those that mean something have their own, others come in the order of all."""
    known = {name: MEANING[name] for name in names if name in MEANING}
    left = iter([one for one in _COLOURS if one not in known.values()])
    return alt.Scale(domain=list(names), range=[known.get(name) or next(left, _PLAIN) for name in names])


def _lines(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Lines over layers with bands."""
    names = _series(chart)
    colour = alt.Color("series:N", title=None, sort=names, scale=_scale_of(names))
    if len(names) == 1:
        colour = colour.legend(None)
    scale = alt.Scale(type="log") if chart.log else _scale(chart, zero=chart.from_zero)
    form = _PERCENT if chart.percent else ".3~g"
    base = _of(rows).encode(x=_layer_axis(rows, title=chart.x_title), color=colour)
    line = base.mark_line(point=alt.OverlayMarkDef(size=28)).encode(
        y=alt.Y("value:Q", title=chart.y_title, scale=scale, axis=alt.Axis(format="~%" if chart.percent else "~g")),
        strokeDash=alt.StrokeDash("series:N", title=None, sort=names, legend=None),
        tooltip=[
            alt.Tooltip("name:N", title="layer"),
            alt.Tooltip("series:N", title=" "),
            alt.Tooltip("value:Q", format=form),
            alt.Tooltip("low:Q", format=form),
            alt.Tooltip("high:Q", format=form),
            alt.Tooltip("n:Q", format=","),
        ],
    )
    band = base.mark_area(opacity=0.18, line=False).encode(y=alt.Y("low:Q", scale=scale), y2="high:Q")
    return _finished(band, line)


def _boxes(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Quantiles over layers: whiskers 5 to 95 %, boxes 25 to 75 %, a tick at the median."""
    scale = alt.Scale(type="symlog") if chart.log else _scale(chart)
    form = _PERCENT if chart.percent else ",.4~g"
    base = _of(rows).encode(
        x=_layer_axis(rows),
        tooltip=[alt.Tooltip("name:N", title="layer")]
        + [alt.Tooltip(f"q{q}:Q", title=f"{q} %", format=form) for q in (5, 25, 50, 75, 95)],
    )
    values = _POWERS if chart.log else alt.Undefined
    axis = alt.Axis(format="~%") if chart.percent else alt.Axis(format=",d", values=values)
    low = alt.Y("q5:Q", title=chart.y_title, scale=scale, axis=axis)
    whisker = base.mark_rule(color=_PLAIN).encode(y=low, y2="q95:Q")
    box = base.mark_bar(color=_PLAIN, opacity=0.45, size=9).encode(y=alt.Y("q25:Q", scale=scale), y2="q75:Q")
    middle = base.mark_tick(color="#000000", thickness=2, width=13, orient="horizontal").encode(
        y=alt.Y("q50:Q", scale=scale)
    )
    return _finished(whisker, box, middle)


def _shares(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Shares over layers, stacked; several add up to 1."""
    order = _series(chart)
    whole = alt.Scale(domain=[0, 1]) if len(order) > 1 else alt.Scale()
    colour = alt.Color(
        "series:N",
        title=None,
        legend=alt.Undefined if len(order) > 1 else None,
        sort=order,
        scale=_scale_of(order),
    )
    bars = (
        _of(rows)
        .mark_bar()
        .encode(
            x=_layer_axis(rows, bars=True),
            y=alt.Y("value:Q", title=chart.y_title, axis=alt.Axis(format="~%"), scale=whole, stack="zero"),
            color=colour,
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="layer"),
                alt.Tooltip("series:N", title=" "),
                alt.Tooltip("value:Q", format=_PERCENT),
                alt.Tooltip("low:Q", format=_PERCENT),
                alt.Tooltip("high:Q", format=_PERCENT),
            ],
        )
    )
    return _finished(bars)


def _bars(chart: Chart, rows: Rows) -> alt.LayerChart:
    """A bar for each category, with a whisker, from a line at 0."""
    order = list(chart.order or [row["category"] for row in rows])
    base = _of(rows).encode(
        x=alt.X("category:N", title=None, sort=order, axis=alt.Axis(labelAngle=0)),
        tooltip=[
            alt.Tooltip("category:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
            alt.Tooltip("n:Q", format=",", title="pairs"),
        ],
    )
    zero = _of([{"y": 0}]).mark_rule(color="#999999").encode(y="y:Q")
    bars = base.mark_bar(color=_PLAIN, opacity=0.55, size=36).encode(
        y=alt.Y("value:Q", title=chart.y_title, scale=_scale(chart))
    )
    whiskers = base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q")
    return _finished(bars, whiskers, zero)


def _points(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Points joined by lines over a logarithmic axis of their own, with intervals; ticks at numbers, if they are no ranges."""
    names = _series(chart)
    numbers = sorted({row["from"] for row in rows}) if all(row["from"] == row["to"] for row in rows) else alt.Undefined
    base = _of(rows).encode(
        x=alt.X(
            "middle:Q",
            title=chart.x_title,
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(format="~g", values=numbers),
        ),
        color=alt.Color("series:N", title=None, sort=names, scale=_scale_of(names)),
        tooltip=[
            alt.Tooltip("from:Q", format=".2~g"),
            alt.Tooltip("to:Q", format=".2~g"),
            alt.Tooltip("value:Q", title=chart.y_title, format=_PERCENT if chart.percent else ".3~g"),
            alt.Tooltip("n:Q", format=","),
        ],
    )
    axis = alt.Axis(format="~%" if chart.percent else "~g")
    low = alt.Y("low:Q", title=chart.y_title, axis=axis, scale=_scale(chart))
    bars = base.mark_rule().encode(y=low, y2="high:Q")
    points = base.mark_line(point=True).encode(y="value:Q")
    return _finished(bars, points)


def _scatter(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Points by themselves, over an axis of their own, with intervals."""
    names = _series(chart)
    form = _PERCENT if chart.percent else ".3~g"
    scale = _scale(chart, zero=chart.from_zero)
    base = _of(rows).encode(
        x=alt.X("middle:Q", title=chart.x_title, scale=alt.Scale(zero=False, padding=12), axis=alt.Axis(format="~g")),
        color=alt.Color("series:N", title=None, sort=names, scale=_scale_of(names)),
        tooltip=[
            alt.Tooltip("name:N", title=" "),
            alt.Tooltip("middle:Q", title=chart.x_title, format=".3~g"),
            *(alt.Tooltip(f"{name}:Q", format=form) for name in ("value", "low", "high")),
        ],
    )
    axis = alt.Axis(format="~%" if chart.percent else "~g")
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title=chart.y_title, axis=axis, scale=scale), y2="high:Q")
    points = base.mark_point(filled=True, size=50).encode(
        y="value:Q", shape=alt.Shape("series:N", title=None, sort=names)
    )
    return _finished(bars, points)


def _heat(chart: Chart, rows: Rows) -> alt.HConcatChart:
    """Boxes of rows and columns, each panel with a scale of its own; below 0 in another colour; what a box says in it."""
    signed = any(row["value"] < 0 for row in rows)
    written = any(row["label"] for row in rows)
    pictures: list[Any] = []
    for name, some in _by("panel", rows).items():
        low, high = chart.extent or (0.0, max((abs(row["value"]) for row in some), default=0.0) or 1.0)
        scale = alt.Scale(
            domain=[low, high],
            range=["#ffffff", _LENS if written else MEANING["amount"]],
            clamp=True,
            interpolate="rgb",
        )
        if signed:
            ends = [MEANING["takes"], "#ffffff", MEANING["adds"]]
            scale = alt.Scale(domain=[-high, 0, high], range=ends, clamp=True, interpolate="rgb")
        base = _of(some).encode(
            x=alt.X("column:N", title=chart.x_title, sort=None, axis=alt.Axis(orient="top", labelAngle=-60)),
            y=alt.Y("row:N", title=chart.y_title, sort=None),
        )
        boxes = base.mark_rect(stroke="#d8dee4").encode(
            color=alt.Color("value:Q", scale=scale, legend=None), tooltip=_told("row", "column", "label")
        )
        words = base.mark_text(fontSize=11, limit=60).encode(text="label:N")
        step = alt.Step(64 if written else 20)
        layered = alt.layer(boxes, words) if written else alt.layer(boxes)
        pictures.append(layered.properties(width=step, height=alt.Step(20), title=name))
    return _beside(pictures)


def _panels(chart: Chart, rows: Rows) -> alt.HConcatChart:
    """Bars that lie, a panel for each quantity; those of several series are stacked, those of one go left below 0."""
    found = _by("panel", rows)
    pictures: list[Any] = []
    beside: list[str] = []
    for name, some in found.items():
        names = list(dict.fromkeys(row["series"] for row in some))
        categories = list(dict.fromkeys(row["category"] for row in some))
        percent = bool(some[0]["percent"])
        bar = _of([{**row, "order": names.index(row["series"])} for row in some]).mark_bar(height={"band": 0.7})
        colour: Any = alt.value(MEANING.get(names[0], _PLAIN))
        if any(row["value"] < 0 for row in some):
            colour = alt.condition("datum.value < 0", alt.value(MEANING["takes"]), alt.value(MEANING["adds"]))
        if len(names) > 1:
            colour = alt.Color("series:N", title=None, sort=names, scale=_scale_of(names))
        drawn = bar.encode(
            x=alt.X(
                "value:Q", title=name or chart.x_title, axis=alt.Axis(format="~%" if percent else "~g"), stack="zero"
            ),
            y=alt.Y(
                "category:N", title=chart.y_title, sort=categories, axis=None if categories == beside else alt.Axis()
            ),
            color=colour,
            order="order:Q",
            tooltip=_told("category", "series"),
        )
        beside = categories
        pictures.append(alt.layer(drawn).properties(width=max(640 // len(found), 120), height=alt.Step(20)))
    return _beside(pictures)


def _spread(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Bins of one width beside each other, with the numbers at their edges; counts on a scale of log(1 + n)."""
    bins = [{**row, "from": place, "to": place + 1} for place, row in enumerate(rows)]
    ends = [row["low"] for row in rows] + [rows[-1]["high"]] if rows else []
    texts = {str(place): "0" if place == 0 and one is None else _edge(one) for place, one in enumerate(ends)}
    most = max((row["n"] for row in rows), default=0)
    base = _of(bins).encode(
        x=alt.X(
            "from:Q",
            title=chart.x_title,
            scale=alt.Scale(domain=[0, max(len(bins), 1)], nice=False),
            axis=alt.Axis(values=list(range(len(ends))), labelExpr=f"{json_text(texts)}[datum.value]", grid=False),
        ),
        x2="to:Q",
        y=alt.Y(
            "n:Q",
            title=chart.y_title,
            scale=alt.Scale(type="symlog", constant=1, domain=[0, max(most, 1)], nice=False),
            axis=alt.Axis(values=[0, *(10**power for power in range(len(str(most))))], format=",d"),
        ),
        y2=alt.Y2Datum(0),
        color=alt.condition("datum.n_triggers > 0", alt.value(MEANING["trigger"]), alt.value(MEANING["amount"])),
        tooltip=[alt.Tooltip(f"{name}:Q") for name in ("low", "high", "n", "n_triggers")],
    )
    layers = [base.mark_bar(stroke="white", strokeWidth=1)]
    if chart.line is not None:
        layers.append(_of([{"at": chart.line}]).mark_rule(strokeDash=[6, 3], strokeWidth=2).encode(x="at:Q"))
    return _finished(*layers)


def _courses(chart: Chart, rows: Rows) -> alt.FacetChart:
    """Small multiples: lines with bands over an axis of times that may begin at 0, a panel for each layer, all on one scale."""
    names, times = _series(chart), sorted({row["middle"] for row in rows})
    form = _PERCENT if chart.percent else ".3~g"
    scale = alt.Scale(type="symlog", constant=next((one for one in times if one > 0), 1), nice=False)
    if len(times) < 2 or chart.x_title == "moment":
        scale = alt.Scale(nice=False, zero=False)
    ticks = [times[0], *(one for one in _TENS if times[0] < one <= times[-1])] if times else []
    base = alt.Chart().encode(  # the library's own class
        x=alt.X("middle:Q", title=chart.x_title, scale=scale, axis=alt.Axis(values=ticks, format=",d", grid=False)),
        color=alt.Color("series:N", title=None, sort=names, scale=_scale_of(names)),
        tooltip=[
            alt.Tooltip("panel:N", title="layer"),
            alt.Tooltip("middle:Q", title=chart.x_title, format=","),
            alt.Tooltip("series:N", title=" "),
            *(alt.Tooltip(f"{name}:Q", format=form) for name in ("value", "low", "high")),
            alt.Tooltip("n:Q", format=","),
        ],
    )
    y = alt.Y(
        "value:Q",
        title=chart.y_title,
        scale=_scale(chart, zero=chart.from_zero),
        axis=alt.Axis(format="~%" if chart.percent else "~g", tickCount=4),
    )
    line = base.mark_line(point=alt.OverlayMarkDef(size=10), strokeWidth=1.5).encode(
        y=y, strokeDash=alt.StrokeDash("series:N", title=None, sort=names, legend=None)
    )
    band = base.mark_area(opacity=0.18, line=False).encode(y=alt.Y("low:Q", scale=_scale(chart)), y2="high:Q")
    layers = list(dict.fromkeys(row["panel"] for row in rows))
    height = max(_PANEL * 2 // 3, 200 // max(-(-len(layers) // _N_BESIDE), 1))
    layered: Any = alt.layer(band, line, data=alt.Data(values=list(rows))).properties(width=_PANEL, height=height)  # type: ignore[no-untyped-call]
    facet = alt.Facet("panel:N", title=None, sort=layers)
    panels: alt.FacetChart = layered.facet(facet=facet, columns=_N_BESIDE)
    return _in_one_look(panels)


def _edge(number: float | None) -> str:
    """A number at the edge of a bin; the last may have none."""
    return "\u221e" if number is None else f"{number:.3g}"


def _by(name: str, rows: Rows) -> dict[str, list[Row]]:
    """Rows by a column, in the order in which its values come."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row[name], []).append(row)
    return found


def _told(*names: str) -> list[alt.Tooltip]:
    """What a mark is read out as: texts, and its number in full."""
    return [*(alt.Tooltip(f"{name}:N") for name in names), alt.Tooltip("value:Q", title="number")]


def _beside(pictures: Sequence[alt.LayerChart]) -> alt.HConcatChart:
    """Pictures from left to right, in the look of all."""
    joined: alt.HConcatChart = alt.hconcat(*pictures).resolve_scale(color="independent")
    return _in_one_look(joined)


def _scale(chart: Chart, *, zero: bool = True) -> alt.Scale:
    """Of the vertical axis."""
    return alt.Scale(domain=list(chart.extent)) if chart.extent else alt.Scale(zero=zero)


def _layer_axis(rows: Rows, *, bars: bool = False, title: str = "layer") -> alt.X:
    """Layers from left to right, by their numbers; other places by their names."""
    layers = sorted({row["layer"] for row in rows})
    if bars:
        return alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    ends = [layers[0] - 0.5, layers[-1] + 0.5] if layers else None
    axis = alt.Axis(values=layers, format="d", grid=False, labelOverlap=True)
    if title != "layer":
        names = {str(row["layer"]): row["name"] for row in rows}
        crowded = len(layers) > _MOST_NAMES
        label = f"{json_text(names)}[datum.value]"
        axis = alt.Axis(values=layers, grid=False, labelExpr=label, labelAngle=-30, labelOverlap=crowded)
    return alt.X(
        "layer:Q",
        title=title,
        axis=axis,
        scale=alt.Scale(domain=ends, nice=False, zero=False) if ends else alt.Scale(),
    )


def _of(rows: Rows) -> alt.Chart:
    """A chart of rows that stand in it."""
    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call] # the library's own class


def _finished(*charts: alt.Chart) -> alt.LayerChart:
    """Charts over one another, in the look of all."""
    layered: Any = alt.layer(*charts).properties(width="container", height=_HEIGHT)
    finished: alt.LayerChart = _in_one_look(layered)
    return finished


def _in_one_look(drawn: Drawn) -> Drawn:
    """Letters and background of every chart."""
    looked: Drawn = (
        drawn.properties(background="white")
        .configure_legend(orient="top", labelLimit=0, columns=2, symbolType="square", symbolOpacity=1, labelFontSize=12)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal", labelLimit=220)
        .configure_view(strokeOpacity=0)
    )
    return looked

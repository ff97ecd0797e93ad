"""Charts as pictures, in Vega-Lite: the one file that knows the plotting library.

Layers count from 0, from the bottom; the papers count them from 1. Bands and bars are 95 % intervals. Colours are those of
Okabe & Ito and one of Tol, which colour-blind readers can tell apart; lines differ in their dashes, too.
"""

from collections.abc import Sequence

import altair as alt
import vl_convert

from ffmem.json_values import JsonObject
from ffmem.studies.exhibit import Chart, Row

Rows = Sequence[Row]
_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255"]
_PLAIN = _COLOURS[0]
_HEIGHT = 260
_PERCENT = ".1%"
_POWERS = [0, *(10**i for i in range(6))]


def draw(chart: Chart) -> alt.LayerChart:
    """The picture of a chart; a notebook shows it."""
    forms = {"lines": _lines, "boxes": _boxes, "shares": _shares, "bars": _bars, "points": _points, "scatter": _scatter}
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
    """A chart's Vega-Lite as a picture, made without a browser."""
    return str(vl_convert.vegalite_to_svg(drawn | {"width": width}))


def png(picture: str) -> bytes:
    """The same picture in pixels, two for each of its own."""
    return bytes(vl_convert.svg_to_png(picture, scale=2))


def script() -> str:
    """The JavaScript that draws charts in a browser, as one classic script: it sets ``window.vegaEmbed``."""
    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg] # its stub asks for what has a default


def _series(chart: Chart) -> list[str]:
    return list(chart.order or dict.fromkeys(row["series"] for row in chart.rows))


def _lines(chart: Chart, rows: Rows) -> alt.LayerChart:
    """Lines over layers with bands."""
    names = _series(chart)
    colour = alt.Color("series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]))
    if len(names) == 1:
        colour = colour.legend(None)
    scale = alt.Scale(type="log") if chart.log else _scale(chart, zero=chart.from_zero)
    form = _PERCENT if chart.percent else ".3~g"
    base = _of(rows).encode(x=_layer_axis(rows), color=colour)
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
        scale=alt.Scale(domain=order, range=_COLOURS[: len(order)]),
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
        color=alt.Color(
            "series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)])
        ),
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
        color=alt.Color(
            "series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)])
        ),
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


def _scale(chart: Chart, *, zero: bool = True) -> alt.Scale:
    """Of the vertical axis."""
    return alt.Scale(domain=list(chart.extent)) if chart.extent else alt.Scale(zero=zero)


def _layer_axis(rows: Rows, *, bars: bool = False) -> alt.X:
    """Layers from left to right."""
    layers = sorted({row["layer"] for row in rows})
    if bars:
        return alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    ends = [layers[0] - 0.5, layers[-1] + 0.5] if layers else None
    return alt.X(
        "layer:Q",
        title="layer",
        axis=alt.Axis(values=layers, format="d", grid=False, labelOverlap=True),
        scale=alt.Scale(domain=ends, nice=False, zero=False) if ends else alt.Scale(),
    )


def _of(rows: Rows) -> alt.Chart:
    """A chart of rows that stand in it."""
    return alt.Chart(alt.Data(values=list(rows)))  # type: ignore[no-untyped-call] # the library's own class


def _finished(*charts: alt.Chart) -> alt.LayerChart:
    """Charts over one another, in the look of all."""
    layered: alt.LayerChart = (
        alt.layer(*charts)
        .properties(width="container", height=_HEIGHT, background="white")
        .configure_legend(orient="top", labelLimit=0, columns=2, symbolType="square", symbolOpacity=1, labelFontSize=12)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_view(strokeOpacity=0)
    )
    return layered

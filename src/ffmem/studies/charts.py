"""What charts are made of, as Vega-Lite. The room that knows the plotting library: for notebooks, pages, and files.

Layers count from 0, from the bottom; the papers count them from 1. Bands and bars are 95 % intervals. Colours are those of
Okabe & Ito and one of Tol, which colour-blind readers can tell apart; lines differ in their dashes, too.
"""

from collections.abc import Sequence
from typing import Any

import altair as alt

Rows = list[dict[str, Any]]

COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255"]
_PLAIN = COLOURS[0]
_HEIGHT = 260
PERCENT = ".1%"
_POWERS = [0, *(10**i for i in range(6))]


def lines(rows: Rows, title: str, *, percent: bool = True, log: bool = False, zero: bool = True) -> alt.LayerChart:
    """Lines over layers with bands."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    rows = [row for row in rows if row["value"] is not None and not (log and row["value"] <= 0)]
    colour = alt.Color("series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=COLOURS[: len(names)]))
    if len(names) == 1:
        colour = colour.legend(None)
    scale = alt.Scale(type="log") if log else alt.Scale(zero=zero)
    form = PERCENT if percent else ".3~g"
    base = chart(rows).encode(x=layer_axis(rows), color=colour)
    line = base.mark_line(point=alt.OverlayMarkDef(size=28)).encode(
        y=alt.Y("value:Q", title=title, scale=scale, axis=alt.Axis(format="~%" if percent else "~g")),
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
    return finish(band, line)


def boxes(rows: Rows, title: str, *, percent: bool = False, log: bool = False) -> alt.LayerChart:
    """Quantiles over layers: whiskers 5 to 95 %, boxes 25 to 75 %, a tick at the median."""
    scale = alt.Scale(type="symlog") if log else alt.Scale()
    base = chart(rows).encode(
        x=layer_axis(rows),
        tooltip=[alt.Tooltip("name:N", title="layer")]
        + [alt.Tooltip(f"q{q}:Q", title=f"{q} %", format=PERCENT if percent else ",.4~g") for q in (5, 25, 50, 75, 95)],
    )
    axis = alt.Axis(format="~%") if percent else alt.Axis(format=",d", values=_POWERS if log else alt.Undefined)
    whisker = base.mark_rule(color=_PLAIN).encode(y=alt.Y("q5:Q", title=title, scale=scale, axis=axis), y2="q95:Q")
    box = base.mark_bar(color=_PLAIN, opacity=0.45, size=9).encode(y=alt.Y("q25:Q", scale=scale), y2="q75:Q")
    middle = base.mark_tick(color="#000000", thickness=2, width=13, orient="horizontal").encode(
        y=alt.Y("q50:Q", scale=scale)
    )
    return finish(whisker, box, middle)


def shares(rows: Rows, title: str, order: Sequence[str]) -> alt.LayerChart:
    """Shares over layers, stacked; several add up to 1."""
    place = {name: number for number, name in enumerate(order)}
    rows = [row | {"order": place[row["series"]]} for row in rows]
    whole = alt.Scale(domain=[0, 1]) if len(order) > 1 else alt.Scale()
    bars = (
        chart(rows)
        .mark_bar()
        .encode(
            x=layer_axis(rows, bars=True),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format="~%"), scale=whole, stack="zero"),
            color=alt.Color(
                "series:N",
                title=None,
                legend=alt.Undefined if len(order) > 1 else None,
                sort=list(order),
                scale=alt.Scale(domain=list(order), range=COLOURS[: len(order)]),
            ),
            order=alt.Order("order:Q"),
            tooltip=[
                alt.Tooltip("name:N", title="layer"),
                alt.Tooltip("series:N", title=" "),
                alt.Tooltip("value:Q", format=PERCENT),
                alt.Tooltip("low:Q", format=PERCENT),
                alt.Tooltip("high:Q", format=PERCENT),
            ],
        )
    )
    return finish(bars)


def layer_axis(rows: Rows, *, bars: bool = False) -> alt.X:
    """Layers from left to right."""
    layers = sorted({row["layer"] for row in rows})
    if bars:
        return alt.X("layer:O", title="layer", axis=alt.Axis(labelAngle=0, labelOverlap=True))
    return alt.X(
        "layer:Q",
        title="layer",
        axis=alt.Axis(values=layers, format="d", grid=False, labelOverlap=True),
        scale=alt.Scale(domain=[min(layers) - 0.5, max(layers) + 0.5], nice=False, zero=False)
        if layers
        else alt.Scale(),
    )


def chart(rows: Rows) -> alt.Chart:
    """A chart of rows that stand in it."""
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]


def finish(*charts: alt.Chart) -> alt.LayerChart:
    """Charts over one another, in the look of all."""
    finished: alt.LayerChart = (
        alt.layer(*charts)
        .properties(width="container", height=_HEIGHT, background="white")
        .configure_legend(orient="top", labelLimit=0, columns=2, symbolType="square", symbolOpacity=1, labelFontSize=12)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_view(strokeOpacity=0)
    )
    return finished


def rows_of(chart: alt.LayerChart) -> Rows:
    """The numbers of a chart."""
    spec = chart.to_dict()
    data = spec.get("data") or spec["layer"][0]["data"]
    found: Rows = data["values"]
    return found


def image(chart: alt.LayerChart, form: str, width: int = 640) -> bytes:
    """A chart as "svg" or "png", drawn without a browser."""
    import vl_convert

    spec = chart.to_dict() | {"width": width}
    if form == "svg":
        return str(vl_convert.vegalite_to_svg(spec)).encode()
    drawn: bytes = vl_convert.vegalite_to_png(spec, scale=2)
    return drawn


def script() -> str:
    """The JavaScript that draws charts in a browser, as one classic script: it sets ``window.vegaEmbed``."""
    import vl_convert

    return str(vl_convert.javascript_bundle())  # type: ignore[call-arg]

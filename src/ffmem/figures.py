"""Figures of a study, as Vega-Lite charts: for notebooks, the page, and files. The only module that knows the plotting library.

Each function takes `Findings` and gives one chart. Layers count from 0, from the bottom; the paper counts them from 1.
Bands and bars are 95 % intervals. Colours are those of Okabe & Ito and one of Tol, which colour-blind readers can tell
apart; lines differ in their dashes, too.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import altair as alt

from ffmem.study.findings import Findings

Rows = list[dict[str, Any]]

_COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999", "#882255"]
_PLAIN = _COLOURS[0]
_HEIGHT = 260
_PERCENT = ".1%"
_POWERS = [0, *(10**i for i in range(6))]


def _estimates(findings: Findings, layers: Sequence[dict[str, Any]], series: dict[str, str]) -> Rows:
    """Rows of a line chart: for each layer the estimates with these names, under these titles."""
    return [
        {"layer": number, "name": findings.layers[number], "series": title}
        | ({"value": one, "low": one, "high": one} if not isinstance(one, dict) else one)
        for number, layer in enumerate(layers)
        for key, title in series.items()
        for one in [layer[key]]
    ]


def _lines(rows: Rows, title: str, *, percent: bool = True, log: bool = False, zero: bool = True) -> alt.LayerChart:
    """Lines over layers with bands."""
    names = list(dict.fromkeys(row["series"] for row in rows))
    rows = [row for row in rows if row["value"] is not None and not (log and row["value"] <= 0)]
    colour = alt.Color("series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[: len(names)]))
    if len(names) == 1:
        colour = colour.legend(None)
    scale = alt.Scale(type="log") if log else alt.Scale(zero=zero)
    form = _PERCENT if percent else ".3~g"
    base = _chart(rows).encode(x=_layer_axis(rows), color=colour)
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
    return _finish(band, line)


def _boxes(rows: Rows, title: str, *, percent: bool = False, log: bool = False) -> alt.LayerChart:
    """Quantiles over layers: whiskers 5 to 95 %, boxes 25 to 75 %, a tick at the median."""
    scale = alt.Scale(type="symlog") if log else alt.Scale()
    base = _chart(rows).encode(
        x=_layer_axis(rows),
        tooltip=[alt.Tooltip("name:N", title="layer")]
        + [
            alt.Tooltip(f"q{q}:Q", title=f"{q} %", format=_PERCENT if percent else ",.4~g") for q in (5, 25, 50, 75, 95)
        ],
    )
    axis = alt.Axis(format="~%") if percent else alt.Axis(format=",d", values=_POWERS if log else alt.Undefined)
    whisker = base.mark_rule(color=_PLAIN).encode(y=alt.Y("q5:Q", title=title, scale=scale, axis=axis), y2="q95:Q")
    box = base.mark_bar(color=_PLAIN, opacity=0.45, size=9).encode(y=alt.Y("q25:Q", scale=scale), y2="q75:Q")
    middle = base.mark_tick(color="#000000", thickness=2, width=13, orient="horizontal").encode(
        y=alt.Y("q50:Q", scale=scale)
    )
    return _finish(whisker, box, middle)


def _shares(rows: Rows, title: str, order: Sequence[str]) -> alt.LayerChart:
    """Shares over layers, stacked; several add up to 1."""
    place = {name: number for number, name in enumerate(order)}
    rows = [row | {"order": place[row["series"]]} for row in rows]
    whole = alt.Scale(domain=[0, 1]) if len(order) > 1 else alt.Scale()
    chart = (
        _chart(rows)
        .mark_bar()
        .encode(
            x=_layer_axis(rows, bars=True),
            y=alt.Y("value:Q", title=title, axis=alt.Axis(format="~%"), scale=whole, stack="zero"),
            color=alt.Color(
                "series:N",
                title=None,
                legend=alt.Undefined if len(order) > 1 else None,
                sort=list(order),
                scale=alt.Scale(domain=list(order), range=_COLOURS[: len(order)]),
            ),
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
    return _finish(chart)


def _layer_axis(rows: Rows, *, bars: bool = False) -> alt.X:
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


def _chart(rows: Rows) -> alt.Chart:
    """A chart of rows that stand in it."""
    return alt.Chart(alt.Data(values=rows))  # type: ignore[no-untyped-call]


def _finish(*charts: alt.Chart) -> alt.LayerChart:
    """Charts over one another, in the look of all."""
    finished: alt.LayerChart = (
        alt.layer(*charts)
        .properties(width="container", height=_HEIGHT, background="white")
        .configure_legend(orient="top", labelLimit=0, columns=2, symbolType="square", symbolOpacity=1, labelFontSize=12)
        .configure_axis(labelFontSize=12, titleFontSize=12, titleFontWeight="normal")
        .configure_view(strokeOpacity=0)
    )
    return finished


def _quantiles(findings: Findings, layers: Sequence[dict[str, Any]], key: str) -> Rows:
    return [
        {"layer": number, "name": findings.layers[number]}
        | dict(zip(("q5", "q25", "q50", "q75", "q95"), layer[key], strict=True))
        for number, layer in enumerate(layers)
        if None not in layer[key]
    ]


def labels(findings: Findings) -> alt.LayerChart:
    """Figure 2, by machine: the patterns of triggers."""
    order = ("shallow", "shallow+semantic", "semantic", "not-covered")
    rows = _estimates(findings, [layer["labels"] for layer in _patterned(findings)], {name: name for name in order})
    return _shares(rows, "triggers", order)


def pattern_kinds(findings: Findings) -> alt.LayerChart:
    """Which kinds of patterns cells have, after control."""
    layers = [layer["units_with_kind"] for layer in _patterned(findings)]
    return _lines(_estimates(findings, layers, {name: name for name in layers[0]}), "cells with such a pattern")


def pattern_scores(findings: Findings) -> alt.LayerChart:
    """Do patterns predict which unseen prefixes fire the cell? 0.5 is chance."""
    rows = [
        {"layer": number, "name": findings.layers[number], "series": one["kind"]} | one["auc"]
        for number, layer in enumerate(findings.values["patterns"]["scores"]["layers"])
        for one in layer
    ]
    return _lines(rows, "AUC on held-out prefixes", percent=False, zero=False)


def _patterned(findings: Findings) -> Sequence[dict[str, Any]]:
    layers: Sequence[dict[str, Any]] = findings.values["patterns"]["layers"]
    return layers


def modifications(findings: Findings) -> alt.LayerChart:
    """Figure 3: mean change of a coefficient when its trigger loses a token."""
    names = {"first": "first token removed", "random": "random token removed", "last": "last token removed"}
    names["shuffled"] = "all but the last shuffled"
    rows = _estimates(findings, [layer["edits"] for layer in findings.values["modifications"]["layers"]], names)
    return _lines([_scaled(row, 0.01) for row in rows], "change of the coefficient")


def _scaled(row: dict[str, Any], factor: float) -> dict[str, Any]:
    return row | {name: None if row[name] is None else row[name] * factor for name in ("value", "low", "high")}


def agreement(findings: Findings) -> alt.LayerChart:
    """Figure 4: how often a value's top token follows its key's best trigger."""
    names = {"agreement": "next token", "agreement_firing": "firing token itself"}
    names |= {"shuffled": "next token, cells shuffled", "unigram": "a token by its frequency"}
    return _lines(_estimates(findings, findings.values[_own(findings)]["layers"], names), "agreement rate")


def agreement_by_projection(findings: Findings) -> alt.LayerChart:
    """Figure 4 under each projection."""
    rows: Rows = []
    for one in findings.projections():
        rows += _estimates(findings, findings.values[f"agreement-{one}"]["layers"], {"agreement": one})
    return _lines(rows, "agreement rate")


def rank(findings: Findings) -> alt.LayerChart:
    """Figure 5: the rank of the next token in the value's distribution."""
    rows = _quantiles(findings, findings.values[_own(findings)]["layers"], "rank_quantiles")
    return _boxes(rows, "rank of the next token", log=True)


def agreement_at(findings: Findings) -> alt.LayerChart:
    """Agreement@k: how often the next token is among a value's first k."""
    rows = [
        {"layer": number, "name": findings.layers[number], "series": f"k = {k}"} | one
        for number, layer in enumerate(findings.values[_own(findings)]["layers"])
        for k, one in zip((1, 5, 10, 50, 100), layer["at"], strict=True)
    ]
    return _lines(sorted(rows, key=lambda row: int(row["series"][4:])), "next token among the first k")


def lift(findings: Findings) -> alt.LayerChart:
    """By how much a value gives the next token more than its frequency does (below 0: less)."""
    rows = _estimates(findings, findings.values[_own(findings)]["layers"], {"lift": "lift"})
    return _lines(rows, "ln p(next token) - ln frequency", percent=False)


def strength(findings: Findings) -> alt.LayerChart:
    """Figure 6: agreement by the value's largest probability, and by that of values brought to one length."""
    found = findings.values[_own(findings)]
    series = {"by_probability": "values as they are", "by_unit_probability": "all brought to one length"}
    rows = [
        {"middle": (one["low"] * one["high"]) ** 0.5, "from": one["low"], "to": one["high"], "series": title}
        | one["agreement"]
        for key, title in series.items()
        for one in found[key]
    ]
    names = list(series.values())
    base = _chart(rows).encode(
        x=alt.X(
            "middle:Q",
            title="largest probability of the value",
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(format="~g"),
        ),
        color=alt.Color("series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=_COLOURS[:2])),
        tooltip=[
            alt.Tooltip("from:Q", format=".2~g"),
            alt.Tooltip("to:Q", format=".2~g"),
            alt.Tooltip("value:Q", title="agreement", format=_PERCENT),
            alt.Tooltip("n:Q", format=","),
        ],
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="agreement rate", axis=alt.Axis(format="~%")), y2="high:Q")
    points = base.mark_line(point=True).encode(y="value:Q")
    return _finish(bars, points)


def active(findings: Findings) -> alt.LayerChart:
    """Figure 7: the share of active memories."""
    return _boxes(_quantiles(findings, _refined(findings), "active_quantiles"), "active cells", percent=True)


def participation(findings: Findings) -> alt.LayerChart:
    """How many memories make an output, as it is and if a softmax stood in the place of the activation."""
    names = {"participation": "as it is", "softmax_participation": "through a softmax"}
    return _lines(
        _estimates(findings, _refined(findings), names), "effective number of memories", percent=False, log=True
    )


def zero_agreement(findings: Findings) -> alt.LayerChart:
    """Figure 8: prefixes where no memory has the layer's own top token."""
    names = {"zero_agreement": "no active cell has top(y)", "zero_agreement_any": "no cell at all has top(y)"}
    names["zero_agreement_output"] = "no active cell has top(o): the official code"
    return _lines(_estimates(findings, _refined(findings), names), "prefixes")


def residual_match(findings: Findings) -> alt.LayerChart:
    """Figure 9: how early the stream has the model's prediction on top."""
    names = {"residual_match": "before the feed-forward layer (r)", "output_match": "after it (o)"}
    return _lines(_estimates(findings, _refined(findings), names), "prefixes with the final prediction on top")


def probability(findings: Findings) -> alt.LayerChart:
    """Figure 10: the probability of the model's prediction under the stream."""
    return _boxes(_quantiles(findings, _refined(findings), "probability_quantiles"), "probability", percent=True)


def cases(findings: Findings) -> alt.LayerChart:
    """Figure 11: where each layer's top token comes from."""
    order = ("residual", "agreement", "composition", "ffn")
    rows = _estimates(findings, [layer["cases"] for layer in _refined(findings)], {name: name for name in order})
    return _shares(rows, "prefixes", order)


def saturation(findings: Findings) -> alt.LayerChart:
    """The layer from which on the prediction stays."""
    rows = [
        {
            "layer": number,
            "name": findings.layers[number],
            "value": value,
            "low": value,
            "high": value,
            "series": "share",
        }
        for number, value in enumerate(findings.values["refinement"]["saturation"])
    ]
    return _shares(rows, "prefixes", ("share",))


def _own(findings: Findings) -> str:
    return f"agreement-{findings.projection}"


def _refined(findings: Findings) -> Sequence[dict[str, Any]]:
    layers: Sequence[dict[str, Any]] = findings.values["refinement"]["layers"]
    return layers


FIGURES: dict[str, tuple[str, Callable[[Findings], alt.LayerChart]]] = {
    "labels": ("patterns", labels),
    "pattern-kinds": ("patterns", pattern_kinds),
    "pattern-scores": ("patterns", pattern_scores),
    "modifications": ("modifications", modifications),
    "agreement": ("agreement", agreement),
    "agreement-by-projection": ("agreement", agreement_by_projection),
    "rank": ("agreement", rank),
    "agreement-at": ("agreement", agreement_at),
    "lift": ("agreement", lift),
    "strength": ("agreement", strength),
    "active": ("refinement", active),
    "participation": ("refinement", participation),
    "zero-agreement": ("refinement", zero_agreement),
    "residual-match": ("refinement", residual_match),
    "probability": ("refinement", probability),
    "cases": ("refinement", cases),
    "saturation": ("refinement", saturation),
}
"""By name: the experiment that a figure needs, and the function that draws it."""


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


def names_of(findings: Findings, names: Iterable[str] = FIGURES) -> list[str]:
    """The figures that these results can be drawn as."""
    ready = {name.split("-")[0] for name in findings.values}
    empty = set()
    if "patterns" in findings.values and findings.values["patterns"]["scores"] is None:
        empty.add("pattern-scores")
    if len(findings.projections()) == 1:  # it would be Figure 4 once more
        empty.add("agreement-by-projection")
    return [name for name in names if FIGURES[name][0] in ready and name not in empty]

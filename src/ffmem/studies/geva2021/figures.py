"""Figures of a study of memories (Geva et al. 2021): each function takes `Findings` and gives one chart."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import altair as alt

from ffmem.studies.charts import COLOURS, PERCENT, Rows, boxes, chart, finish, lines, shares
from ffmem.studies.geva2021.findings import Findings


def _estimates(findings: Findings, layers: Sequence[dict[str, Any]], series: dict[str, str]) -> Rows:
    """Rows of a line chart: for each layer the estimates with these names, under these titles."""
    return [
        {"layer": number, "name": findings.layers[number], "series": title}
        | ({"value": one, "low": one, "high": one} if not isinstance(one, dict) else one)
        for number, layer in enumerate(layers)
        for key, title in series.items()
        for one in [layer[key]]
    ]


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
    return shares(rows, "triggers", order)


def pattern_kinds(findings: Findings) -> alt.LayerChart:
    """Which kinds of patterns cells have, after control."""
    layers = [layer["units_with_kind"] for layer in _patterned(findings)]
    return lines(_estimates(findings, layers, {name: name for name in layers[0]}), "cells with such a pattern")


def pattern_scores(findings: Findings) -> alt.LayerChart:
    """Do patterns predict which unseen prefixes fire the cell? 0.5 is chance."""
    rows = [
        {"layer": number, "name": findings.layers[number], "series": one["kind"]} | one["auc"]
        for number, layer in enumerate(findings.values["patterns"]["scores"]["layers"])
        for one in layer
    ]
    return lines(rows, "AUC on held-out prefixes", percent=False, zero=False)


def _patterned(findings: Findings) -> Sequence[dict[str, Any]]:
    layers: Sequence[dict[str, Any]] = findings.values["patterns"]["layers"]
    return layers


def modifications(findings: Findings) -> alt.LayerChart:
    """Figure 3: mean change of a coefficient when its trigger loses a token."""
    names = {"first": "first token removed", "random": "random token removed", "last": "last token removed"}
    names["shuffled"] = "all but the last shuffled"
    rows = _estimates(findings, [layer["edits"] for layer in findings.values["modifications"]["layers"]], names)
    return lines([_scaled(row, 0.01) for row in rows], "change of the coefficient")


def _scaled(row: dict[str, Any], factor: float) -> dict[str, Any]:
    return row | {name: None if row[name] is None else row[name] * factor for name in ("value", "low", "high")}


def agreement(findings: Findings) -> alt.LayerChart:
    """Figure 4: how often a value's top token follows its key's best trigger."""
    names = {"agreement": "next token", "agreement_firing": "firing token itself"}
    names |= {"shuffled": "next token, cells shuffled", "unigram": "a token by its frequency"}
    return lines(_estimates(findings, findings.values[_own(findings)]["layers"], names), "agreement rate")


def agreement_by_projection(findings: Findings) -> alt.LayerChart:
    """Figure 4 under each projection."""
    rows: Rows = []
    for one in findings.projections():
        rows += _estimates(findings, findings.values[f"agreement-{one}"]["layers"], {"agreement": one})
    return lines(rows, "agreement rate")


def rank(findings: Findings) -> alt.LayerChart:
    """Figure 5: the rank of the next token in the value's distribution."""
    rows = _quantiles(findings, findings.values[_own(findings)]["layers"], "rank_quantiles")
    return boxes(rows, "rank of the next token", log=True)


def agreement_at(findings: Findings) -> alt.LayerChart:
    """Agreement@k: how often the next token is among a value's first k."""
    rows = [
        {"layer": number, "name": findings.layers[number], "series": f"k = {k}"} | one
        for number, layer in enumerate(findings.values[_own(findings)]["layers"])
        for k, one in zip((1, 5, 10, 50, 100), layer["at"], strict=True)
    ]
    return lines(sorted(rows, key=lambda row: int(row["series"][4:])), "next token among the first k")


def lift(findings: Findings) -> alt.LayerChart:
    """By how much a value gives the next token more than its frequency does (below 0: less)."""
    rows = _estimates(findings, findings.values[_own(findings)]["layers"], {"lift": "lift"})
    return lines(rows, "ln p(next token) - ln frequency", percent=False)


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
    base = chart(rows).encode(
        x=alt.X(
            "middle:Q",
            title="largest probability of the value",
            scale=alt.Scale(type="log", nice=False, padding=12),
            axis=alt.Axis(format="~g"),
        ),
        color=alt.Color("series:N", title=None, sort=names, scale=alt.Scale(domain=names, range=COLOURS[:2])),
        tooltip=[
            alt.Tooltip("from:Q", format=".2~g"),
            alt.Tooltip("to:Q", format=".2~g"),
            alt.Tooltip("value:Q", title="agreement", format=PERCENT),
            alt.Tooltip("n:Q", format=","),
        ],
    )
    bars = base.mark_rule().encode(y=alt.Y("low:Q", title="agreement rate", axis=alt.Axis(format="~%")), y2="high:Q")
    points = base.mark_line(point=True).encode(y="value:Q")
    return finish(bars, points)


def active(findings: Findings) -> alt.LayerChart:
    """Figure 7: the share of active memories."""
    return boxes(_quantiles(findings, _refined(findings), "active_quantiles"), "active cells", percent=True)


def participation(findings: Findings) -> alt.LayerChart:
    """How many memories make an output, as it is and if a softmax stood in the place of the activation."""
    names = {"participation": "as it is", "softmax_participation": "through a softmax"}
    return lines(
        _estimates(findings, _refined(findings), names), "effective number of memories", percent=False, log=True
    )


def zero_agreement(findings: Findings) -> alt.LayerChart:
    """Figure 8: prefixes where no memory has the layer's own top token."""
    names = {"zero_agreement": "no active cell has top(y)", "zero_agreement_any": "no cell at all has top(y)"}
    names["zero_agreement_output"] = "no active cell has top(o): the official code"
    return lines(_estimates(findings, _refined(findings), names), "prefixes")


def residual_match(findings: Findings) -> alt.LayerChart:
    """Figure 9: how early the stream has the model's prediction on top."""
    names = {"residual_match": "before the feed-forward layer (r)", "output_match": "after it (o)"}
    return lines(_estimates(findings, _refined(findings), names), "prefixes with the final prediction on top")


def probability(findings: Findings) -> alt.LayerChart:
    """Figure 10: the probability of the model's prediction under the stream."""
    return boxes(_quantiles(findings, _refined(findings), "probability_quantiles"), "probability", percent=True)


def cases(findings: Findings) -> alt.LayerChart:
    """Figure 11: where each layer's top token comes from."""
    order = ("residual", "agreement", "composition", "ffn")
    rows = _estimates(findings, [layer["cases"] for layer in _refined(findings)], {name: name for name in order})
    return shares(rows, "prefixes", order)


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
    return shares(rows, "prefixes", ("share",))


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


def names_of(findings: Findings, names: Iterable[str] = FIGURES) -> list[str]:
    """The figures that these results can be drawn as."""
    ready = {name.split("-")[0] for name in findings.values}
    empty = set()
    if "patterns" in findings.values and findings.values["patterns"]["scores"] is None:
        empty.add("pattern-scores")
    if len(findings.projections()) == 1:  # it would be Figure 4 once more
        empty.add("agreement-by-projection")
    return [name for name in names if FIGURES[name][0] in ready and name not in empty]

"""Figures of a study of attention (Kobayashi et al. 2020, 2021): each function makes one chart of `AttentionFindings`."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import altair as alt
import numpy as np

from ffmem.analyses.intervals import Estimate
from ffmem.studies.charts import COLOURS, Rows, chart, finish, lines
from ffmem.studies.kobayashi2020.experiments import AttentionFindings


def _over_layers(found: AttentionFindings, columns: Sequence[Sequence[Estimate | float]], names: Sequence[str]) -> Rows:
    """Rows of a line chart from layers x series."""
    return [
        {"layer": number, "name": found.layers[number], "series": name}
        | (asdict(one) if isinstance(one, Estimate) else {"value": one, "low": one, "high": one, "n": None})
        for number, row in enumerate(columns)
        for name, one in zip(names, row, strict=True)
        if not (isinstance(one, Estimate) and one.n == 0)
    ]


def variation(found: AttentionFindings) -> alt.LayerChart:
    """How much ‖f(x)‖ varies over tokens: coefficient of variation, mean and range over heads; and that of the stream."""
    rows = [
        {"layer": number, "name": found.layers[number], "series": "‖f(x)‖, mean and range over heads"}
        | {"value": float(np.mean(heads)), "low": min(heads), "high": max(heads), "n": len(heads)}
        for number, heads in enumerate(found.variation)
    ]
    rows += [
        {
            "layer": number,
            "name": found.layers[number],
            "series": "‖x‖, the stream",
            "value": one,
            "low": one,
            "high": one,
        }
        | {"n": None}
        for number, one in enumerate(found.stream_variation)
    ]
    return lines(rows, "standard deviation / mean")


def weight_shares(found: AttentionFindings) -> alt.LayerChart:
    """How much weight (alpha) queries give to each category of tokens."""
    return lines(_over_layers(found, found.weight_shares, found.categories), "share of weight")


def norm_shares(found: AttentionFindings) -> alt.LayerChart:
    """How much each category of tokens adds: its share of ‖alpha f(x)‖."""
    return lines(_over_layers(found, found.norm_shares, found.categories), "share of ‖α f(x)‖")


def transformed_norms(found: AttentionFindings) -> alt.LayerChart:
    """‖f(x)‖ of each category, as a multiple of the mean over all tokens of the layer."""
    return lines(
        _over_layers(found, found.transformed_norms, found.categories), "‖f(x)‖ / mean of the layer", percent=False
    )


def correlations(found: AttentionFindings) -> alt.LayerChart:
    """Spearman's correlation of weight and ‖f(x)‖, by category of the source."""
    rows = [
        {"category": name} | asdict(one)
        for name, one in zip(found.categories, found.correlations, strict=True)
        if one.n
    ]
    base = chart(rows).encode(
        x=alt.X("category:N", title=None, sort=list(found.categories), axis=alt.Axis(labelAngle=0)),
        tooltip=[
            alt.Tooltip("category:N"),
            *(alt.Tooltip(f"{name}:Q", format=".3f") for name in ("value", "low", "high")),
            alt.Tooltip("n:Q", format=",", title="pairs"),
        ],
    )
    zero = alt.Chart(alt.Data(values=[{"y": 0}])).mark_rule(color="#999999").encode(y="y:Q")  # type: ignore[no-untyped-call]
    bars = base.mark_bar(color=COLOURS[0], opacity=0.55, size=36).encode(
        y=alt.Y("value:Q", title="Spearman's ρ of α and ‖f(x)‖")
    )
    whiskers = base.mark_rule(strokeWidth=2).encode(y="low:Q", y2="high:Q")
    return finish(bars, whiskers, zero)


def mixing(found: AttentionFindings) -> alt.LayerChart:
    """Mixing ratio: how much of a position comes from others, by each way to measure it."""
    variants = list(found.mixing)
    columns = [[found.mixing[one][layer] for one in variants] for layer in range(len(found.layers))]
    return lines(_over_layers(found, columns, variants), "mixing ratio")


FIGURES: dict[str, Callable[[AttentionFindings], Any]] = {
    "variation": variation,
    "weight-shares": weight_shares,
    "norm-shares": norm_shares,
    "transformed-norms": transformed_norms,
    "correlations": correlations,
    "mixing": mixing,
}
"""By name: the function that draws it."""

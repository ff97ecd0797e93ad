"""The numbers of a study that the paper gives too, side by side; and whether the paper's shapes hold.

The paper's numbers are those of its text (Geva et al. 2021); those marked ~ were read off its figures.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ffmem.analyses.intervals import Estimate, proportion
from ffmem.studies.geva2021.findings import Findings, average, averaged, percent, pooled, thirds

_ENOUGH = 20
"""Values of a bin that can be spoken of."""


@dataclass(frozen=True)
class Headline:
    """One number, ours and the paper's."""

    item: str
    """The figure or table."""
    quantity: str
    paper: str
    """As the paper gives it; "-" where it gives no number."""
    ours: float
    low: float | None = None
    """End of the 95 % interval; None where there is none."""
    high: float | None = None
    unit: str = "%"
    """"%": the numbers are shares; else they are what it says."""

    def text(self) -> str:
        """Ours, as a reader would write it."""
        if self.ours != self.ours:
            return "nothing to estimate it from"
        form = percent if self.unit == "%" else _number
        interval = "" if self.low is None or self.high is None else f" ({form(self.low)} to {form(self.high)})"
        unit = f" {self.unit}" if self.unit else ""
        return f"{form(self.ours)}{unit}{interval}"


@dataclass(frozen=True)
class Shape:
    """Something that the paper saw, as a question that a study answers."""

    item: str
    claim: str
    holds: bool
    why: str
    """The numbers that say so."""


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _headline(item: str, quantity: str, paper: str, found: Estimate | dict[str, Any]) -> Headline:
    one = found if isinstance(found, Estimate) else Estimate(**{k: _nan(v) for k, v in found.items()})
    return Headline(item, quantity, paper, one.value, one.low, one.high)


def _nan(value: float | None) -> Any:
    return float("nan") if value is None else value


def headlines(findings: Findings) -> tuple[Headline, ...]:
    """Every number that this study has, in the paper's order."""
    return tuple(one for makes, needs in _HEADLINES if needs(findings) for one in makes(findings))


def shapes(findings: Findings) -> tuple[Shape, ...]:
    """Every shape that this study can speak of, in the paper's order."""
    return tuple(one for makes, needs in _SHAPES if needs(findings) for one in makes(findings))


def _of_patterns(findings: Findings) -> Iterator[Headline]:
    layers = findings.values["patterns"]["layers"]
    covered = [layer["coverage"]["value"] for layer in layers]
    yield Headline("Figure 2", "triggers with a pattern, layer with the fewest", "65 % (by people)", min(covered))
    yield Headline("Figure 2", "triggers with a pattern, layer with the most", "80 % (by people)", max(covered))
    found = pooled(layer["units_with_pattern"] for layer in layers)
    yield _headline("Figure 2", "cells with a pattern", "100 % (by people)", found)
    per_cell = average(layer["patterns_per_unit"]["value"] for layer in layers)
    yield Headline("Figure 2", "patterns a cell", "3.6 (by people)", per_cell, unit="")
    for name, part in zip(("lowest", "highest"), thirds(layers), strict=True):
        yield Headline("Figure 2", f"triggers with a semantic pattern, {name} third", "-", _semantic(part))


def _semantic(layers: Sequence[dict[str, Any]]) -> float:
    """Mean share of triggers with a semantic pattern, alone or beside a shallow one."""
    return averaged(layer["semantic"] for layer in layers).value


def _pattern_shapes(findings: Findings) -> Iterator[Shape]:
    layers = findings.values["patterns"]["layers"]
    if findings.values["patterns"]["semantic"] is None:
        return
    low, high = (averaged(layer["semantic"] for layer in part) for part in thirds(layers))
    yield Shape(
        "Figure 2",
        "upper layers have more semantic patterns",
        high.low > low.high,
        f"triggers with one: lowest third {_interval(low)}, highest third {_interval(high)}",
    )
    shallow = averaged(layer["labels"]["shallow"] for layer in thirds(layers)[0])
    yield Shape(
        "Figure 2",
        "lower layers are mostly shallow",
        shallow.low > 0.5,
        f"lowest third: triggers with shallow patterns alone {_interval(shallow)}",
    )


def _changes(findings: Findings, edit: str) -> list[float | None]:
    return [layer["edits"][edit]["value"] for layer in findings.values["modifications"]["layers"]]


def _of_edits(findings: Findings) -> Iterator[Headline]:
    papers = {"first": "~ -10 to -15 %", "random": "~ -15 to -20 %", "last": "~ -65 to -70 % in the lowest layer"}
    for edit, paper in papers.items():
        values = _changes(findings, edit)
        yield Headline("Figure 3", f"change without the {edit} token, mean of layers", paper, average(values) / 100)
    lowest, highest = (findings.values["modifications"]["layers"][place]["edits"]["last"] for place in (0, -1))
    for name, one in (("lowest", lowest), ("highest", highest)):
        found = {key: None if one[key] is None else one[key] / 100 for key in ("value", "low", "high")}
        yield _headline("Figure 3", f"change without the last token, {name} layer", "-", {**found, "n": one["n"]})


def _edit_shapes(findings: Findings) -> Iterator[Shape]:
    layers = findings.values["modifications"]["layers"]
    last, first, drawn = (averaged(_shares(layers, edit)) for edit in ("last", "first", "random"))
    yield Shape(
        "Figure 3",
        "the last token matters most",
        last.high < min(drawn.low, first.low),
        f"means over layers: last {_interval(last)}, random {_interval(drawn)}, first {_interval(first)}",
    )
    yield Shape(
        "Figure 3",
        "a random token matters more than the first",
        drawn.high < first.low,
        f"means over layers: random {_interval(drawn)}, first {_interval(first)}",
    )
    low, high = (averaged(_shares(part, "last")) for part in thirds(layers))
    yield Shape(
        "Figure 3",
        "removing the last token hurts lower layers more",
        low.high < high.low,
        f"lowest third {_interval(low)}, highest third {_interval(high)}",
    )


def _shares(layers: Sequence[dict[str, Any]], edit: str) -> list[dict[str, Any]]:
    """Estimates of an edit's change, as shares."""
    found = [layer["edits"][edit] for layer in layers]
    return [one | {key: _scaled(one[key]) for key in ("value", "low", "high")} for one in found]


def _scaled(value: float | None) -> float | None:
    return None if value is None else value / 100


def _agreement_layers(findings: Findings) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = findings.values[f"agreement-{findings.projection}"]["layers"]
    return layers


def _of_values(findings: Findings) -> Iterator[Headline]:
    layers = _agreement_layers(findings)
    best = max((layer["agreement"] for layer in layers), key=lambda one: one["value"] or 0)
    low, high = (pooled(layer["agreement"] for layer in part) for part in thirds(layers))
    yield _headline("Figure 4", "agreement rate, best layer", "3.5 %", best)
    yield _headline("Figure 4", "agreement rate, lowest third of the layers", "~ 0 %", low)
    yield _headline("Figure 4", "agreement rate, highest third of the layers", "-", high)
    yield Headline("Figure 4", "chance if every token were as likely", "0.0004 %", layers[0]["uniform"])
    yield Headline(
        "Figure 4",
        "chance with cells shuffled, highest third",
        "-",
        average(layer["shuffled"] for layer in thirds(layers)[1]),
    )
    for name, part, paper in zip(("lowest", "highest"), thirds(layers), ("~ 4 to 6 %", "~ 0 to 1 %"), strict=True):
        median = average(layer["rank_quantiles"][2] for layer in part)
        yield Headline(
            "Figure 5",
            f"median rank of the next token as a share of the vocabulary, {name} third",
            paper,
            median / findings.d_vocab,
        )
    bins = [one["agreement"] for one in findings.values[f"agreement-{findings.projection}"]["by_probability"]]
    large = [one for one in bins if one["n"] >= _ENOUGH]
    if large:
        quantity = f"agreement in the highest bin that has {_ENOUGH} values or more"
        yield _headline("Figure 6", quantity, "~ 95 %", large[-1])
    strongest = findings.values[f"agreement-{findings.projection}"]["strongest"]
    upper = sum(_place(findings, one["cell"]) >= round(len(findings.layers) * 10 / 16) for one in strongest)
    matched = sum(one["n_matches"] > 0 for one in strongest)
    yield _headline(
        "Table 2",
        f"of the {len(strongest)} strongest values, in the upper 6/16 of the layers",
        "97 %",
        proportion(upper, len(strongest)),
    )
    yield _headline(
        "Table 2",
        "of these values, with a trigger followed by the top token",
        "46 %",
        proportion(matched, len(strongest)),
    )


def _place(findings: Findings, cell: str) -> int:
    return max(place for place, name in enumerate(findings.layers) if cell.startswith(f"{name}."))


def _value_shapes(findings: Findings) -> Iterator[Shape]:
    layers = _agreement_layers(findings)
    low, high = (pooled(layer["agreement"] for layer in part) for part in thirds(layers))
    yield Shape(
        "Figure 4",
        "agreement is higher in the upper layers",
        high.low > low.high,
        f"lowest third {_interval(low)}, highest third {_interval(high)}",
    )
    shuffled = average(layer["shuffled"] for layer in thirds(layers)[1])
    yield Shape(
        "Figure 4",
        "in the upper layers it is above chance",
        high.low > shuffled,
        f"highest third {_interval(high)}, with cells shuffled {percent(shuffled)} %",
    )
    ranks = [average(layer["rank_quantiles"][2] for layer in part) for part in thirds(layers)]
    yield Shape(
        "Figure 5",
        "the next token's rank improves with depth",
        ranks[1] < ranks[0],
        f"median rank, lowest third {ranks[0]:,.0f}, highest third {ranks[1]:,.0f}",
    )
    bins = [one["agreement"] for one in findings.values[f"agreement-{findings.projection}"]["by_probability"]]
    if len(bins) > 1:
        weak, strong = (pooled(part) for part in (bins[: len(bins) // 2], bins[len(bins) // 2 :]))
        yield Shape(
            "Figure 6",
            "values with a larger probability agree more often",
            strong.low > weak.high,
            f"lower half of the bins {_interval(weak)}, upper half {_interval(strong)}",
        )


def _interval(one: Estimate) -> str:
    return f"{percent(one.value)} % ({percent(one.low)} to {percent(one.high)})"


def _refined(findings: Findings) -> Sequence[dict[str, Any]]:
    layers: Sequence[dict[str, Any]] = findings.values["refinement"]["layers"]
    return layers


def _of_prefixes(findings: Findings) -> Iterator[Headline]:
    layers, found = _refined(findings), findings.values["refinement"]
    medians = [layer["active_quantiles"][2] for layer in layers]
    yield Headline("Figure 7", "active cells, layer with the fewest (median)", "~ 10 %", min(medians))
    yield Headline("Figure 7", "active cells, layer with the most (median)", "~ 50 %", max(medians))
    least = min((layer["zero_agreement"] for layer in layers), key=lambda one: one["value"])
    yield _headline("Figure 8", "zero agreement, layer with the least", "68 %", least)
    makeup = found["makeup"]
    yield _headline("Section 5.1", "agreeing cases whose token is a stop word", "60 %", makeup["stop_word"])
    yield _headline("Section 5.1", "all cases whose token is a stop word", "-", makeup["stop_word_of_all"])
    yield _headline("Section 5.1", "agreeing cases with a prefix below 5 tokens", "43 %", makeup["short_prefix"])
    yield _headline("Section 5.1", "all cases with a prefix below 5 tokens", "-", makeup["short_prefix_of_all"])
    low, high = (pooled(layer["residual_match"] for layer in part) for part in thirds(layers))
    yield _headline("Figure 9", "prediction already on top of the stream, lowest third", "about a third", low)
    yield _headline("Figure 9", "prediction already on top of the stream, highest third", "-", high)
    for name, layer in (("lowest", layers[0]), ("highest", layers[-1])):
        yield Headline(
            "Figure 10", f"median probability of the prediction, {name} layer", "-", layer["probability_quantiles"][2]
        )
    for case in ("residual", "agreement", "composition", "ffn"):
        yield _headline("Figure 11", f"{case}, all layers", "-", pooled(layer["cases"][case] for layer in layers))
    yield _headline(
        "Section 5.2", "last-layer compositions in which the layer vetoes", "-", found["elimination"]["veto"]
    )


def _prefix_shapes(findings: Findings) -> Iterator[Shape]:
    layers = _refined(findings)
    zero = [layer["zero_agreement"]["low"] for layer in layers]
    yield Shape(
        "Figure 8",
        "in every layer most outputs are the top token of no active memory",
        min(zero) > 0.5,
        f"lowest lower end of an interval: {percent(min(zero))} %",
    )
    low, high = (pooled(layer["residual_match"] for layer in part) for part in thirds(layers))
    yield Shape(
        "Figure 9",
        "the prediction is found layer by layer",
        high.low > low.high,
        f"lowest third {_interval(low)}, highest third {_interval(high)}",
    )
    shares = {case: pooled(layer["cases"][case] for layer in layers) for case in ("residual", "composition", "ffn")}
    yield Shape(
        "Figure 11",
        "most often the stream's candidate stays",
        all(
            max(layer["cases"].values(), key=lambda one: one["value"]) == layer["cases"]["residual"] for layer in layers
        ),
        f"residual {_interval(shares['residual'])} over all layers; it must lead in each",
    )
    yield Shape(
        "Figure 11",
        "where the candidate changes, it is rarely to the layer's own",
        shares["composition"].low > shares["ffn"].high,
        f"composition {_interval(shares['composition'])}, ffn {_interval(shares['ffn'])}",
    )


def _has(name: str) -> Callable[[Findings], bool]:
    return lambda findings: name in findings.values


def _has_agreement(findings: Findings) -> bool:
    return findings.agreement is not None


_HEADLINES: tuple[tuple[Callable[[Findings], Iterator[Headline]], Callable[[Findings], bool]], ...] = (
    (_of_patterns, _has("patterns")),
    (_of_edits, _has("modifications")),
    (_of_values, _has_agreement),
    (_of_prefixes, _has("refinement")),
)
_SHAPES: tuple[tuple[Callable[[Findings], Iterator[Shape]], Callable[[Findings], bool]], ...] = (
    (_pattern_shapes, _has("patterns")),
    (_edit_shapes, _has("modifications")),
    (_value_shapes, _has_agreement),
    (_prefix_shapes, _has("refinement")),
)

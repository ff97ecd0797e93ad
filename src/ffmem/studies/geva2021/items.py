"""What the page says of each figure: the question, the definition, the protocol, and what may be concluded."""

import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

from ffmem.studies.geva2021.findings import Findings, average, averaged, percent, pooled, thirds


@dataclass(frozen=True)
class Item:
    """One figure or table of the page."""

    name: str
    """As in `headlines`: "Figure 4"; "Addition" for what the paper does not have."""
    title: str
    question: str
    definition: str
    conclude: str
    """What may be concluded, and what may not."""
    figures: list[str]
    """Names of charts; the first is the paper's own."""
    needs: str
    """The experiment, or the beginning of its name."""
    reading: str
    """What of it is put into words."""

    def read(self, findings: Findings) -> str:
        """One sentence or two: what this figure shows."""
        return _READINGS[self.reading][0](findings)

    def sample(self, findings: Findings) -> str:
        """How much it was measured on."""
        return _READINGS[self.reading][1](findings)


def _p(value: float) -> str:
    return f"{percent(value)} %"


def _agreement(findings: Findings) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = findings.values[f"agreement-{findings.projection}"]["layers"]
    return layers


def _refined(findings: Findings) -> list[dict[str, Any]]:
    layers: list[dict[str, Any]] = findings.values["refinement"]["layers"]
    return layers


def _units(findings: Findings) -> str:
    layers = _agreement(findings)
    n, silent, ends = (
        sum(layer[name] for layer in layers) for name in ("n_units", "n_without_trigger", "n_without_next")
    )
    later = sum(layer["n_passed_over"] for layer in layers)
    return (
        f"all {n:,} cells (of a gated model each sign of the coefficient counts as one), less {silent:,} that never fired and "
        f"{ends:,} all of whose triggers end their sentence; for {later:,} the best trigger ends its sentence, and the next "
        f"best that does not stands for it; values read by the projection {findings.projection}"
    )


def _prefixes(findings: Findings) -> str:
    found = findings.values["refinement"]
    return f"{found['n_prefixes']:,} random prefixes from {found['n_sentences']:,} held-out sentences"


def _triggers(findings: Findings) -> str:
    layers = findings.values["patterns"]["layers"]
    units, triggers = (sum(layer[name] for layer in layers) for name in ("n_units", "n_triggers"))
    scores = findings.values["patterns"]["scores"]
    scored = f"; scored at {scores['n_prefixes']:,} held-out prefixes" if scores else ""
    return f"{triggers:,} triggers of all {units:,} cells that ever fired (each sign of a gated cell counts as one){scored}"


def _read_patterns(findings: Findings) -> str:
    layers = findings.values["patterns"]["layers"]
    covered = average(layer["coverage"]["value"] for layer in layers)
    low, high = (averaged(layer["semantic"] for layer in part).value for part in thirds(layers))
    return (
        f"{_p(covered)} of the triggers have a pattern; {_p(low)} have a semantic one in the lowest third of the layers, and "
        f"{_p(high)} in the highest."
    )


def _edits(findings: Findings) -> str:
    layers = findings.values["modifications"]["layers"]
    n, cells = (sum(layer[name] for layer in layers) for name in ("n_triggers", "n_cells"))
    return f"{n:,} triggers of {cells:,} random cells; intervals by a bootstrap over cells"


def _mean_of(findings: Findings, edit: str) -> float:
    return average(layer["edits"][edit]["value"] for layer in findings.values["modifications"]["layers"])


def _read_edits(findings: Findings) -> str:
    last, drawn, first = (_mean_of(findings, edit) for edit in ("last", "random", "first"))
    return (
        f"On average over layers a coefficient changes by {last:.0f} % when its trigger loses the last token, by {drawn:.0f} % "
        f"for a random one, and by {first:.0f} % for the first."
    )


def _read_agreement(findings: Findings) -> str:
    low, high = (pooled(layer["agreement"] for layer in part) for part in thirds(_agreement(findings)))
    shuffled = average(layer["shuffled"] for layer in thirds(_agreement(findings))[1])
    return (
        f"In the lowest third of the layers {_p(low.value)} of the values have the next token on top, in the highest third "
        f"{_p(high.value)}; with cells shuffled it would be {_p(shuffled)} there."
    )


def _read_rank(findings: Findings) -> str:
    low, high = (average(layer["rank_quantiles"][2] for layer in part) for part in thirds(_agreement(findings)))
    return f"The median rank of the next token goes from {low:,.0f} to {high:,.0f}, of {findings.d_vocab:,} tokens."


def _read_strength(findings: Findings) -> str:
    bins = [one["agreement"] for one in findings.values[f"agreement-{findings.projection}"]["by_probability"]]
    weak, strong = (pooled(part) for part in (bins[: len(bins) // 2], bins[len(bins) // 2 :]))
    return (
        f"Values in the upper half of the range agree in {_p(strong.value)} of {strong.n:,} cases, those in the lower half in "
        f"{_p(weak.value)} of {weak.n:,}."
    )


def _read_strongest(findings: Findings) -> str:
    strongest = findings.values[f"agreement-{findings.projection}"]["strongest"]
    matched = [one for one in strongest if one["n_matches"]]
    share = average(one["n_matches"] / one["n_triggers"] for one in matched)
    return (
        f"Of the {len(strongest)} strongest values {len(matched)} have a trigger that is followed by their top token; in those "
        f"{_p(share)} of the triggers are."
    )


def _read_active(findings: Findings) -> str:
    medians = [layer["active_quantiles"][2] for layer in _refined(findings)]
    least = findings.layers[medians.index(min(medians))]
    return f"At the median {_p(min(medians))} ({least}) to {_p(max(medians))} of a layer's cells are active at a token."


def _read_zero(findings: Findings) -> str:
    shares = [layer["zero_agreement"]["value"] for layer in _refined(findings)]
    made = findings.values["refinement"]["makeup"]
    told = f"In {_p(min(shares))} to {_p(max(shares))} of the prefixes no active cell has the layer's own top token."
    if made["n_pairs"]:
        told += (
            f" Where one has, the token is a stop word in {_p(made['stop_word']['value'])} of the cases (of all cases "
            f"{_p(made['stop_word_of_all']['value'])}), and the prefix is shorter than 5 tokens in "
            f"{_p(made['short_prefix']['value'])} (of all {_p(made['short_prefix_of_all']['value'])})."
        )
    return told


def _read_match(findings: Findings) -> str:
    first, last = (_refined(findings)[place]["residual_match"]["value"] for place in (0, -1))
    return (
        f"The stream has the final prediction on top in {_p(first)} of the prefixes at the lowest layer, and in {_p(last)} at "
        "the highest."
    )


def _read_probability(findings: Findings) -> str:
    first, last = (_refined(findings)[place]["probability_quantiles"][2] for place in (0, -1))
    return f"The median probability of the final prediction goes from {_p(first)} to {_p(last)} under the stream."


def _read_cases(findings: Findings) -> str:
    layers = _refined(findings)
    shares = {
        case: pooled(layer["cases"][case] for layer in layers)
        for case in ("residual", "agreement", "composition", "ffn")
    }
    violations = sum(round(layer["violations"]["value"] * layer["violations"]["n"]) for layer in layers)
    told = ", ".join(f"{case} {_p(share.value)}" for case, share in shares.items())
    return f"Over all layers: {told}; {violations:,} cases that a linear reading rules out."


def _read_elimination(findings: Findings) -> str:
    found = findings.values["refinement"]["elimination"]
    if not found["n"]:
        return "No prefix has a composition in the last layer."
    share = _p(found["veto"]["value"])
    return (
        f"In {share} of {found['n']:,} compositions the last layer lowers the stream's candidate against the new one."
    )


def _read_parameters(findings: Findings) -> str:
    found = findings.values["parameters"]
    return (
        f"Feed-forward layers hold {_p(found['feed_forward_fraction'])} of the parameters inside the layers: "
        f"{found['feed_forward']:,} of {found['feed_forward'] + found['attention']:,}."
    )


def _all_parameters(findings: Findings) -> str:
    return f"all {findings.values['parameters']['total']:,} parameters"


def _read_participation(findings: Findings) -> str:
    own, soft = (
        average(layer[name]["value"] for layer in _refined(findings))
        for name in ("participation", "softmax_participation")
    )
    return f"On average {own:,.0f} memories make a layer's output; a softmax of the same scores would have {soft:,.0f}."


_READINGS: dict[str, tuple[Callable[[Findings], str], Callable[[Findings], str]]] = {
    "patterns": (_read_patterns, _triggers),
    "edits": (_read_edits, _edits),
    "agreement": (_read_agreement, _units),
    "rank": (_read_rank, _units),
    "strength": (_read_strength, _units),
    "strongest": (_read_strongest, _units),
    "active": (_read_active, _prefixes),
    "zero": (_read_zero, _prefixes),
    "match": (_read_match, _prefixes),
    "probability": (_read_probability, _prefixes),
    "cases": (_read_cases, _prefixes),
    "elimination": (_read_elimination, _prefixes),
    "participation": (_read_participation, _prefixes),
    "parameters": (_read_parameters, _all_parameters),
}
"""By name, as in ``items.toml``: the sentence, and the sample."""


@cache
def _items() -> tuple[Item, ...]:
    data = tomllib.loads(files("ffmem.studies.geva2021").joinpath("items.toml").read_text("utf-8"))
    return tuple(
        Item(**one | {name: " ".join(one[name].split()) for name in ("definition", "conclude")}) for one in data["item"]
    )


def items_of(findings: Findings) -> tuple[Item, ...]:
    """Those that a study has results for."""
    return tuple(one for one in _items() if any(name.startswith(one.needs) for name in findings.values))

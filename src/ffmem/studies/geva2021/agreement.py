"""Figures 4 to 6 and Table 2: do values predict what follows the triggers of their keys?"""

from collections.abc import Iterator
from math import isnan

from ffmem.analyses.agreement import AT, Agreement, LayerAgreement, StrongValue, measure_agreement
from ffmem.analyses.intervals import proportion
from ffmem.store.facts import Projection
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, box_rows, interval, line_rows, pooled, share, thirds
from ffmem.studies.geva2021.study import projections
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import exceeds, in_order, is_greater

_ENOUGH = 20
"""Values of a bin that can be spoken of."""
_UPPER = 10 / 16
"""Where the upper layers begin in which the paper looks for its strongest values."""


def _experiment(projection: Projection) -> Experiment[Geva2021]:
    name = f"agreement-{projection}"

    def run(study: Geva2021, listen: StageListener) -> Agreement:
        return measure_agreement(
            study.index,
            study.model,
            projection,
            seed=study.options.seed,
            on_layer=lambda place: listen(Stage(name, place + 1, study.index.n_layers)),
        )

    return Experiment(name, Agreement, run)


def _experiments(study: Geva2021) -> list[Experiment[Geva2021]]:
    return [_experiment(one) for one in study.value_projections] if study.predicts else []


def _name(findings: Findings) -> str:
    return f"agreement-{findings.index.manifest.projection}"


def _applies(findings: Findings) -> bool:
    return _name(findings) in findings.values


def _result(findings: Findings) -> Agreement:
    """Under the index's own projection."""
    return findings.get(_name(findings), Agreement)


def _sample(findings: Findings) -> str:
    result = _result(findings)
    n = sum(layer.n_units for layer in result.layers)
    silent = sum(layer.n_without_trigger for layer in result.layers)
    ends = sum(layer.n_without_next for layer in result.layers)
    later = sum(layer.n_passed_over for layer in result.layers)
    return (
        f"all {n:,} cells (of a gated model each sign of the coefficient counts as one), less {silent:,} that never fired and "
        f"{ends:,} all of whose triggers end their sentence; for {later:,} the best trigger ends its sentence, and the next "
        f"best that does not stands for it; values read by the projection {result.projection}"
    )


def _agreement_reading(findings: Findings) -> str:
    parts = thirds(_result(findings).layers)
    low, high = (pooled(layer.agreement for layer in part) for part in parts)
    return (
        f"In the lowest third of the layers {share(low.value)} of the values have the next token on top, in the highest third "
        f"{share(high.value)}; with cells shuffled it would be {share(average(layer.shuffled for layer in parts[1]))} there."
    )


def _agreement_numbers(findings: Findings) -> Iterator[Number]:
    layers = _result(findings).layers
    parts = thirds(layers)
    best = max((layer.agreement for layer in layers), key=lambda one: 0 if isnan(one.value) else one.value)
    low, high = (pooled(layer.agreement for layer in part) for part in parts)
    yield Number.of("agreement rate, best layer", "3.5 %", best)
    yield Number.of("agreement rate, lowest third of the layers", "~ 0 %", low)
    yield Number.of("agreement rate, highest third of the layers", "-", high)
    yield Number("chance if every token were as likely", "0.0004 %", layers[0].uniform)
    yield Number("chance with cells shuffled, highest third", "-", average(layer.shuffled for layer in parts[1]))


def _agreement_claims(findings: Findings) -> Iterator[Claim]:
    parts = thirds(_result(findings).layers)
    low, high = (pooled(layer.agreement for layer in part) for part in parts)
    yield Claim(
        "agreement is higher in the upper layers",
        is_greater(high, low),
        f"lowest third {interval(low)}, highest third {interval(high)}",
    )
    shuffled = average(layer.shuffled for layer in parts[1])
    yield Claim(
        "in the upper layers it is above chance",
        exceeds(high, shuffled),
        f"highest third {interval(high)}, with cells shuffled {share(shuffled)}",
    )


def _agreement_charts(findings: Findings) -> Iterator[Chart]:
    layers, y_title = _result(findings).layers, "agreement rate"
    rows = line_rows(
        layers,
        {
            "next token": lambda layer: layer.agreement,
            "firing token itself": lambda layer: layer.agreement_firing,
            "next token, cells shuffled": lambda layer: layer.shuffled,
            "a token by its frequency": lambda layer: layer.unigram,
        },
    )
    yield Chart(
        "agreement", "Figure 4: how often a value's top token follows its key's best trigger.", "lines", rows, y_title
    )
    names = projections(findings)
    if len(names) > 1:  # else it would be Figure 4 once more
        results = {name: findings.get(f"agreement-{name}", Agreement) for name in names}
        rows = [
            row for name, one in results.items() for row in line_rows(one.layers, {name: lambda layer: layer.agreement})
        ]
        yield Chart("agreement-by-projection", "Figure 4 under each projection.", "lines", rows, y_title)
    rows = [
        {"layer": number, "name": layer.layer, "series": f"k = {k}"} | plain(layer.at[place])
        for place, k in enumerate(AT)
        for number, layer in enumerate(layers)
    ]
    caption = "Agreement@k: how often the next token is among a value's first k."
    yield Chart("agreement-at", caption, "lines", rows, "next token among the first k")
    rows = line_rows(layers, {"lift": lambda layer: layer.lift})
    caption = "By how much a value gives the next token more than its frequency does (below 0: less)."
    yield Chart("lift", caption, "lines", rows, "ln p(next token) - ln frequency", percent=False)


def _median_rank(layers: tuple[LayerAgreement, ...]) -> tuple[float, float]:
    """Of the next token: means over the lowest third of the layers, and over the highest."""
    low, high = (average(layer.rank_quantiles[2] for layer in part) for part in thirds(layers))
    return low, high


def _d_vocab(findings: Findings) -> int:
    return findings.index.manifest.model.d_vocab


def _rank_reading(findings: Findings) -> str:
    low, high = _median_rank(_result(findings).layers)
    return f"The median rank of the next token goes from {low:,.0f} to {high:,.0f}, of {_d_vocab(findings):,} tokens."


def _rank_numbers(findings: Findings) -> Iterator[Number]:
    medians = _median_rank(_result(findings).layers)
    for name, median, paper in zip(("lowest", "highest"), medians, ("~ 4 to 6 %", "~ 0 to 1 %"), strict=True):
        quantity = f"median rank of the next token as a share of the vocabulary, {name} third"
        yield Number(quantity, paper, median / _d_vocab(findings))


def _rank_claims(findings: Findings) -> Iterator[Claim]:
    low, high = _median_rank(_result(findings).layers)
    yield Claim(
        "the next token's rank improves with depth",
        in_order(high < low),
        f"median rank, lowest third {low:,.0f}, highest third {high:,.0f}",
    )


def _rank_charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(_result(findings).layers, lambda layer: layer.rank_quantiles)
    caption = "Figure 5: the rank of the next token in the value's distribution."
    yield Chart("rank", caption, "boxes", rows, "rank of the next token", percent=False, log=True)


def _strength_reading(findings: Findings) -> str:
    bins = [one.agreement for one in _result(findings).by_probability]
    weak, strong = (pooled(part) for part in (bins[: len(bins) // 2], bins[len(bins) // 2 :]))
    return (
        f"Values in the upper half of the range agree in {share(strong.value)} of {strong.n:,} cases, those in the lower half "
        f"in {share(weak.value)} of {weak.n:,}."
    )


def _strength_numbers(findings: Findings) -> Iterator[Number]:
    large = [one.agreement for one in _result(findings).by_probability if one.agreement.n >= _ENOUGH]
    if large:
        yield Number.of(f"agreement in the highest bin that has {_ENOUGH} values or more", "~ 95 %", large[-1])


def _strength_claims(findings: Findings) -> Iterator[Claim]:
    bins = [one.agreement for one in _result(findings).by_probability]
    if len(bins) > 1:
        weak, strong = (pooled(part) for part in (bins[: len(bins) // 2], bins[len(bins) // 2 :]))
        yield Claim(
            "values with a larger probability agree more often",
            is_greater(strong, weak),
            f"lower half of the bins {interval(weak)}, upper half {interval(strong)}",
        )


def _strength_charts(findings: Findings) -> Iterator[Chart]:
    result = _result(findings)
    series = {"values as they are": result.by_probability, "all brought to one length": result.by_unit_probability}
    rows = [
        {"middle": (one.low * one.high) ** 0.5, "from": one.low, "to": one.high, "series": title} | plain(one.agreement)
        for title, bins in series.items()
        for one in bins
    ]
    yield Chart(
        "strength",
        "Figure 6: agreement by the value's largest probability, and by that of values brought to one length.",
        "points",
        rows,
        "agreement rate",
        x_title="largest probability of the value",
        order=tuple(series),
    )


def _strongest_reading(findings: Findings) -> str:
    strongest = _result(findings).strongest
    matched = [one for one in strongest if one.n_matches]
    if not matched:
        return f"None of the {len(strongest)} strongest values has a trigger that is followed by its top token."
    followed = average(one.n_matches / one.n_triggers for one in matched)
    return (
        f"Of the {len(strongest)} strongest values {len(matched)} have a trigger that is followed by their top token; in those "
        f"{share(followed)} of the triggers are."
    )


def _strongest_numbers(findings: Findings) -> Iterator[Number]:
    strongest, index = _result(findings).strongest, findings.index
    upper = sum(index.cells.place(one.cell)[0] >= round(index.n_layers * _UPPER) for one in strongest)
    matched = sum(one.n_matches > 0 for one in strongest)
    quantity = f"of the {len(strongest)} strongest values, in the upper 6/16 of the layers"
    yield Number.of(quantity, "97 %", proportion(upper, len(strongest)))
    quantity = "of these values, with a trigger followed by the top token"
    yield Number.of(quantity, "46 %", proportion(matched, len(strongest)))


def _strongest_tables(findings: Findings) -> Iterator[Table]:
    vocabulary = findings.index.text.vocabulary
    yield Table(
        "strongest-values",
        "The values with the largest probability",
        ("value", "top token", "probability", "triggers followed by it", "triggers"),
        [_row(one, vocabulary[one.top_token]) for one in _result(findings).strongest],
    )


def _row(value: StrongValue, top_token: str) -> dict[str, str | float | None]:
    return {
        "value": str(value.cell) if value.sign > 0 else f"{value.cell} below 0",
        "top token": top_token,
        "probability": round(value.probability, 6),
        "triggers followed by it": value.n_matches,
        "triggers": value.n_triggers,
        "precision": round(value.n_matches / value.n_triggers, 4) if value.n_triggers else None,
    }


CHAPTER = Chapter(
    order=3,
    experiments=_experiments,
    results={"agreement-": Agreement},
    exhibits=(
        Exhibit(
            order=4,
            name="Figure 4",
            title="Do values predict what follows their keys' triggers?",
            question="Is the top token of a value the token that follows its key's best trigger?",
            definition="""
Agreement rate: the share of cells with argmax of softmax(projection of v) = the token after the best trigger.
Chance: 1 / d_vocab; tokens drawn by frequency; targets of other cells of the layer.""",
            conclude="""
Agreement above all three baselines shows that keys and values belong together. A low rate does not show that values
mean nothing: only the top token counts here. The official code compares with the firing token by its index; both
are drawn.""",
            applies=_applies,
            reading=_agreement_reading,
            sample=_sample,
            numbers=_agreement_numbers,
            claims=_agreement_claims,
            charts=_agreement_charts,
        ),
        Exhibit(
            order=5,
            name="Figure 5",
            title="How far down the next token is",
            question="At which rank is the next token in its value's distribution?",
            definition="""
The number of tokens that the value scores higher, or equal with a smaller id. Whiskers: 5 to 95 % of the cells;
boxes: the middle half; line: median.""",
            conclude="Ranks of different vocabularies can be compared as shares of d_vocab only.",
            applies=_applies,
            reading=_rank_reading,
            sample=_sample,
            numbers=_rank_numbers,
            claims=_rank_claims,
            charts=_rank_charts,
        ),
        Exhibit(
            order=6,
            name="Figure 6",
            title="Do strong values agree more?",
            question="Is a value with a peaked distribution right more often?",
            definition="""
Agreement rate of the values of all layers in ten bins of equal width in the logarithm of their largest probability;
once for values as they are, once brought to one length, since a model may shift scale between key and value without
any effect.""",
            conclude="""
The paper's horizontal axis is mostly the length of the value; what remains in the second curve is the shape of the
distribution.""",
            applies=_applies,
            reading=_strength_reading,
            sample=_sample,
            numbers=_strength_numbers,
            claims=_strength_claims,
            charts=_strength_charts,
        ),
        Exhibit(
            order=6.5,
            name="Table 2",
            title="The strongest values",
            question="Where are the values with the largest probability, and do their triggers say the same?",
            definition="""
The 100 values of all layers with the largest probability, and how many of their triggers are followed by their top
token.""",
            conclude="They are a selection by the length of the value as much as by its direction; see Figure 6.",
            applies=_applies,
            reading=_strongest_reading,
            sample=_sample,
            numbers=_strongest_numbers,
            tables=_strongest_tables,
        ),
    ),
)

"""Figures 4 to 6 and Table 2: do values predict what follows the triggers of their keys?"""

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np

from ffmem.analyses.agreement import AT, N_BINS, Agreement, Units, bin_of, measure_agreement
from ffmem.analyses.intervals import FEW, Estimate, Sums, Uncertain, mean_ratio, numbered, ratios
from ffmem.analyses.resampling import chosen, of_draws
from ffmem.analyses.values import NONE
from ffmem.store.facts import Projection
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import (
    average,
    box_rows,
    interval,
    line_rows,
    means_of_thirds,
    points,
    share,
    thirds,
    upper_less_lower,
)
from ffmem.studies.geva2021.study import projections
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

_ARRAYS, _RANK_DRAWS = "agreement", "rank_draws"
_ENOUGH = 20
"""Values of a bin that can be spoken of."""


def _experiment(projection: Projection) -> Experiment[Geva2021]:
    name = f"agreement-{projection}"

    def run(study: Geva2021, listen: StageListener) -> Agreement:
        agreement, units, rank_draws = measure_agreement(
            study.index,
            study.model,
            projection,
            seed=study.options.seed,
            on_layer=lambda place: listen(Stage(name, place + 1, study.index.n_layers)),
        )
        if projection == study.value_projections[0]:  # that of all claims
            arrays = {one.name: getattr(units, one.name) for one in fields(Units)}
            study.results.save_arrays(_ARRAYS, {**arrays, _RANK_DRAWS: rank_draws.astype(np.float32)})
        return agreement

    return Experiment(name, Agreement, run)


def _experiments(study: Geva2021) -> list[Experiment[Geva2021]]:
    return [_experiment(one) for one in study.value_projections] if study.predicts else []


def _name(findings: Findings) -> str:
    return f"agreement-{findings.index.manifest.projection}"


def applies(findings: Findings) -> bool:
    """Whether values were read."""
    return _name(findings) in findings.values


def agreement_of(findings: Findings) -> Agreement:
    """Under the index's own projection."""
    return findings.get(_name(findings), Agreement)


def _arrays(findings: Findings) -> dict[str, np.ndarray]:
    return Results(findings.folder, findings.header).load_arrays(_ARRAYS)


def _units(findings: Findings) -> Units:
    """Every cell, under the index's own projection."""
    arrays = _arrays(findings)
    return Units(**{one.name: arrays[one.name] for one in fields(Units)})


def sample(findings: Findings) -> str:
    """What was measured, and how cells count."""
    result = agreement_of(findings)
    n = sum(layer.n_units for layer in result.layers)
    silent = sum(layer.n_without_trigger for layer in result.layers)
    ends = sum(layer.n_passed_over for layer in result.layers)
    none = sum(layer.n_without_next for layer in result.layers)
    return (
        f"all {n:,} cells (of a gated model each sign of the coefficient counts as one); {silent:,} never fired and {ends:,} "
        "have a best trigger that ends its sentence: as in the paper, these count as cells that do not agree. Ranks, and what "
        f"is said of the next best trigger, leave out those that never fired and {none:,} all of whose triggers end their "
        f"sentence. Values are read by the projection {result.projection}; intervals by drawing the documents of the triggers"
    )


def _agreement_reading(findings: Findings) -> str:
    parts = thirds(agreement_of(findings).layers)
    low, high = (average(layer.agreement.value for layer in part) for part in parts)
    shuffled = average(layer.shuffled.value for layer in parts[1])
    return (
        f"In the lowest third of the layers {share(low)} of the values have the next token on top, in the highest third "
        f"{share(high)}; with cells shuffled it would be {share(shuffled)} there."
    )


def _agreement_numbers(findings: Findings) -> Iterator[Number]:
    units, layers = _units(findings), agreement_of(findings).layers
    agrees = units.by_layer(units.agrees)
    (low, high), (_, chance) = means_of_thirds(agrees), means_of_thirds(units.by_layer(units.chance))
    yield Number.of("agreement rate, best layer", "3.5 %", chosen(agrees, "most")[1].estimate)
    yield Number.of("agreement rate, lowest third of the layers", "~ 0 %", low.estimate)
    yield Number.of("agreement rate, highest third of the layers", "-", high.estimate)
    next_best = average(layer.agreement_next_best.value for layer in thirds(layers)[1])
    yield Number("the same by the best trigger that something follows, of cells that have one", "-", next_best)
    yield Number("chance if every token were as likely", "0.0004 %", layers[0].uniform)
    yield Number.of("chance with cells shuffled, highest third", "-", chance.estimate)


def _agreement_claims(findings: Findings) -> Iterator[Claim]:
    units = _units(findings)
    agrees = units.by_layer(units.agrees)
    (low, high), gain = means_of_thirds(agrees), upper_less_lower(agrees)
    yield Claim(
        "agreement is higher in the upper layers",
        above(gain),
        f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less the "
        f"first: {points(gain)}",
    )
    upper = list(thirds(range(units.n_layers))[1])
    chance, beyond = units.by_layer(units.chance), units.by_layer(units.agrees - units.chance)
    more = mean_ratio(beyond[upper].differences)
    yield Claim(
        "in the upper layers it is above chance",
        above(more),
        f"highest third {interval(high.estimate)}, with cells shuffled {interval(mean_ratio(chance[upper]).estimate)}; the "
        f"first less the second: {points(more)}",
    )


def _agreement_charts(findings: Findings) -> Iterator[Chart]:
    layers, y_title = agreement_of(findings).layers, "agreement rate"
    rows = line_rows(
        layers,
        {
            "next token": lambda layer: layer.agreement,
            "next token, by the best trigger that has one": lambda layer: layer.agreement_next_best,
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


def _d_vocab(findings: Findings) -> int:
    return findings.index.manifest.model.d_vocab


def _median_ranks(findings: Findings) -> tuple[Uncertain, Uncertain, Uncertain]:
    """The mean of the median ranks of the lowest third of the layers, of the highest, and the first less the second."""
    layers, units, draws = agreement_of(findings).layers, _units(findings), _arrays(findings)[_RANK_DRAWS]
    medians = np.array([layer.rank_quantiles[2] for layer in layers])
    n_groups, n = numbered(units.document)[1], int((units.following != NONE).sum())
    there = ~np.isnan(medians)
    low, high = ([place for place in part if there[place]] for part in thirds(range(len(layers))))
    if not low or not high:
        nothing_known = Uncertain(np.nan, np.nan, 0, 0)
        return nothing_known, nothing_known, nothing_known
    values, drawn = [medians[part].mean() for part in (low, high)], [draws[:, part].mean(1) for part in (low, high)]
    return (
        of_draws(float(values[0]), drawn[0], n_groups, n),
        of_draws(float(values[1]), drawn[1], n_groups, n),
        of_draws(float(values[0] - values[1]), drawn[0] - drawn[1], n_groups, n),
    )


def _rank_reading(findings: Findings) -> str:
    low, high, _ = _median_ranks(findings)
    return (
        f"The median rank of the next token goes from {low.value:,.0f} in the lowest third of the layers to {high.value:,.0f} "
        f"in the highest, of {_d_vocab(findings):,} tokens."
    )


def _rank_numbers(findings: Findings) -> Iterator[Number]:
    medians, n = _median_ranks(findings)[:2], _d_vocab(findings)
    for name, median, paper in zip(("lowest", "highest"), medians, ("~ 4 to 6 %", "~ 0 to 1 %"), strict=True):
        quantity = f"median rank of the next token as a share of the vocabulary, {name} third"
        of = median.estimate
        yield Number.of(quantity, paper, Estimate(of.value / n, of.low / n, of.high / n, of.n))


def _rank_claims(findings: Findings) -> Iterator[Claim]:
    low, high, gain = _median_ranks(findings)
    ends = gain.interval()
    yield Claim(
        "the next token's rank improves with depth",
        above(gain, unit="ranks"),
        f"median rank: lowest third of the layers {low.value:,.0f}, highest third {high.value:,.0f}; better by "
        f"{gain.value:,.0f} ranks ({ends[0]:,.0f} to {ends[1]:,.0f})",
    )


def _rank_charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(agreement_of(findings).layers, lambda layer: layer.rank_quantiles)
    caption = "Figure 5: the rank of the next token in the value's distribution."
    yield Chart("rank", caption, "boxes", rows, "rank of the next token", percent=False, log=True)


def _halves(findings: Findings) -> Sums:
    """The lower half of the bins and the upper, a column each."""
    units = _units(findings)
    place, _ = bin_of(units.top_log_probability)
    return units.by(units.agrees, (place >= N_BINS // 2).astype(np.int64), 2)


def _strength_reading(findings: Findings) -> str:
    weak, strong = ratios(_halves(findings))
    return (
        f"Values in the upper half of the range agree in {share(strong.value)} of {strong.n:,} cases, those in the lower half "
        f"in {share(weak.value)} of {weak.n:,}."
    )


def _strength_numbers(findings: Findings) -> Iterator[Number]:
    large = [one.agreement for one in agreement_of(findings).by_probability if one.agreement.n >= _ENOUGH]
    if large:
        yield Number.of(f"agreement in the highest bin that has {_ENOUGH} values or more", "~ 95 %", large[-1])


def _strength_claims(findings: Findings) -> Iterator[Claim]:
    halves = _halves(findings)
    weak, strong = ratios(halves)
    if weak.n and strong.n:
        more = mean_ratio(halves[[1]], halves[[0]])
        test = above(more)
        if (halves.below > 0).sum(0).min() < FEW:  # a value or two that happen to agree, or not, say nothing of others
            test = replace(test, degrees=0, p_shown=1.0, p_contradicted=1.0)
        yield Claim(
            "values with a larger probability agree more often",
            test,
            f"lower half of the bins {interval(weak)}, upper half {interval(strong)} of {strong.n:,} values; the second less "
            f"the first: {points(more)}",
        )


def _strength_charts(findings: Findings) -> Iterator[Chart]:
    result = agreement_of(findings)
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
Agreement rate: the share of all cells with argmax of softmax(projection of v) = the token after the best trigger.
Beside it: the same where the best trigger that something follows stands for the cell, of the cells that have one.
Chance: 1 / d_vocab; tokens drawn by frequency; targets of other cells of the layer.""",
            conclude="""
Agreement above all three baselines shows that keys and values belong together. A low rate does not show that values
mean nothing: only the top token counts here. The official code compares with the firing token by its index; both
are drawn.""",
            applies=applies,
            reading=_agreement_reading,
            sample=sample,
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
boxes: the middle half; line: median. Of the cells with a trigger that something follows, by the best of these.""",
            conclude="Ranks of different vocabularies can be compared as shares of d_vocab only.",
            applies=applies,
            reading=_rank_reading,
            sample=sample,
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
            applies=applies,
            reading=_strength_reading,
            sample=sample,
            numbers=_strength_numbers,
            claims=_strength_claims,
            charts=_strength_charts,
        ),
    ),
)

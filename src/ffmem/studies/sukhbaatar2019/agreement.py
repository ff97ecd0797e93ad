"""Whether values say what follows the triggers of their keys, and what values promote."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.agreement import measure_agreement
from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered, proportion, ratios
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.geva2021.layers import average, line_rows, points
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.sukhbaatar2019.context import Sukhbaatar2019
from ffmem.studies.sukhbaatar2019.shown import BESIDE, OWN
from ffmem.studies.verdicts import above

OF_OWN, OF_BESIDE = "agreement", "agreement-beside"


@dataclass(frozen=True)
class LayerValues:
    """One layer."""

    layer: str
    agreement: Estimate
    """Share of cells whose value's top token follows their best trigger."""
    chance: Estimate
    """The same for targets of other cells of the layer."""
    first: Estimate
    """Share of cells whose best trigger is the first token of its sentence, where little context competes."""
    distinct: float
    """Different top tokens of its values, as a share of its cells."""
    top_probability: Estimate
    """That values have of their top token, geometric mean."""


@dataclass(frozen=True)
class ValuesResult:
    """What was measured of all layers; what was found of each cell lies beside it as arrays."""

    n_cells: int
    projection: str
    layers: tuple[LayerValues, ...]


def _own(study: Sukhbaatar2019, listen: StageListener) -> ValuesResult:
    return _run(study, study.model, study.index, OF_OWN, listen)


def _beside(study: Sukhbaatar2019, listen: StageListener) -> ValuesResult:
    assert study.beside is not None
    return _run(study, study.model_beside(), study.beside, OF_BESIDE, listen)


def _run(study: Sukhbaatar2019, model: Transformer, index: Index, name: str, listen: StageListener) -> ValuesResult:
    projection = model.unembedding.own_projection
    found, units, _ = measure_agreement(
        index,
        model,
        projection,
        seed=study.options.seed,
        on_layer=lambda place: listen(Stage(name, place + 1, index.n_layers)),
    )
    first = np.concatenate([best_at_first(index, place) for place in range(index.n_layers)])
    study.results.save_arrays(
        name,
        {"agrees": units.agrees.astype(np.float64), "chance": units.chance, "first": first, "layer": units.layer}
        | {"document": units.document, "top": units.top},
    )
    length = ratios(units.by_layer(units.top_log_probability.astype(np.float64)))
    layers = tuple(
        LayerValues(
            layer=one.layer,
            agreement=one.agreement,
            chance=one.shuffled,
            first=_share(first[units.layer == place]),
            distinct=len(np.unique(units.top[units.layer == place])) / int((units.layer == place).sum()),
            top_probability=_exp(length[place]),
        )
        for place, one in enumerate(found.layers)
    )
    return ValuesResult(index.n_cells, projection, layers)


def best_at_first(index: Index, place: int) -> np.ndarray:
    """For each cell of a layer, whether its best trigger is the first token of its sentence; NaN without one."""
    best = index.layer(place).trigger_token[:, 0, 0].astype(np.int64)
    starts = index.text.sentence_start.astype(np.int64)
    there = best < starts[-1]
    sentence = np.searchsorted(starts, np.where(there, best, 0), side="right") - 1
    return np.where(there, (starts[sentence] == best).astype(np.float64), np.nan)


def _share(values: np.ndarray) -> Estimate:
    known = values[~np.isnan(values)]
    return proportion(int(known.sum()), len(known))


def _exp(one: Estimate) -> Estimate:
    return Estimate(float(np.exp(one.value)), float(np.exp(one.low)), float(np.exp(one.high)), one.n)


def _experiments(study: Sukhbaatar2019) -> Iterable[Experiment[Sukhbaatar2019]]:
    yield Experiment(OF_OWN, ValuesResult, _own)
    if study.beside is not None and not study.is_control:
        yield Experiment(OF_BESIDE, ValuesResult, _beside)


def _of(findings: Findings) -> dict[str, ValuesResult]:
    there = {OWN: OF_OWN, BESIDE: OF_BESIDE}
    return {title: findings.get(name, ValuesResult) for title, name in there.items() if name in findings.values}


def _arrays(findings: Findings, name: str) -> Mapping[str, np.ndarray]:
    return Results(findings.folder, findings.header).load_arrays(name)


def less(arrays: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray] | None = None) -> Uncertain:
    """Agreement less chance, mean of cells; or that less the same of other cells, whose triggers are of the same documents."""
    own = arrays["agrees"] - arrays["chance"]
    if other is None:
        return mean_ratio(Sums.of(own, *numbered(arrays["document"])).differences)
    groups, n = numbered(np.concatenate([arrays["document"], other["document"]]))
    theirs = other["agrees"] - other["chance"]
    return mean_ratio(Sums.of(own, groups[: len(own)], n), Sums.of(theirs, groups[len(own) :], n))


def _reading(findings: Findings) -> str:
    told_of = [
        f"of {title}, {percent(average(one.agreement.value for one in found.layers))} % of values agree with their keys' best "
        f"triggers (chance: {percent(average(one.chance.value for one in found.layers))} %)"
        for title, found in _of(findings).items()
    ]
    return f"In the mean of layers, {'; '.join(told_of)}."


def _sample(findings: Findings) -> str:
    counts = ", ".join(f"{found.n_cells:,} {title}" for title, found in _of(findings).items())
    return f"all cells: {counts}; best triggers of the indexed text; intervals by drawing documents"


def _numbers(findings: Findings) -> Iterator[Number]:
    for title, found in _of(findings).items():
        arrays = _arrays(findings, OF_OWN if title == OWN else OF_BESIDE)
        groups = numbered(arrays["document"])
        names = {
            "agreement rate": "agrees",
            "by chance": "chance",
            "best trigger is the first token of its sentence": "first",
        }
        for quantity, name in names.items():
            yield Number.of(f"{quantity}, {title}", "-", mean_ratio(Sums.of(arrays[name], *groups)).estimate)
        yield Number(f"different top tokens of values, {title}", "-", average(one.distinct for one in found.layers))


def _claims(findings: Findings) -> Iterator[Claim]:
    own = _arrays(findings, OF_OWN)
    more = less(own)
    yield Claim(
        "values of softmax memories say what follows the triggers of their keys more often than by chance",
        above(more),
        f"{points(more)} more than with targets of other cells of the layer",
    )
    if OF_BESIDE in findings.values:
        difference = -less(own, _arrays(findings, OF_BESIDE))
        yield Claim(
            "values of softmax memories agree less often than those of ReLU cells, in these two models",
            above(difference),
            f"{points(difference)}, both less chance",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _of(findings)
    rows = []
    for title, one in found.items():
        rows += line_rows(
            one.layers, {title: lambda layer: layer.agreement, f"{title}, by chance": lambda layer: layer.chance}
        )
    yield Chart(
        "softmax-agreement", "Values whose top token follows their key's best trigger.", "lines", rows, "agreement rate"
    )
    rows = [row for title, one in found.items() for row in line_rows(one.layers, {title: lambda layer: layer.distinct})]
    yield Chart(
        "softmax-top-tokens",
        "Different top tokens of a layer's values, as a share of its cells.",
        "lines",
        rows,
        "share",
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "layer": one.layer,
            "kind": title,
            "agreement": plain(one.agreement.value),
            "by chance": plain(one.chance.value),
            "best trigger at first token": plain(one.first.value),
            "different top tokens": one.distinct,
            "probability of top token": plain(one.top_probability.value),
        }
        for title, found in _of(findings).items()
        for one in found.layers
    ]
    yield Table("softmax-values", "Values by layer, as shares", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=4,
    experiments=_experiments,
    results={OF_OWN: ValuesResult, OF_BESIDE: ValuesResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Addition",
            title="Do values agree with keys?",
            question="Is a memory of attention a key-value memory as Geva et al. mean it: does its value promote the token "
            "that follows what its key fires on?",
            definition="""
As Figure 4 of Geva et al. (2021): a cell agrees if the top token of its value, projected to the vocabulary, is the one
that follows its best trigger. Chance: with the targets of other cells of the layer, over all ways of shuffling them.
Different top tokens: of the values of a layer, as a share of its cells; values of one head lie in a space as wide as
the head, since all pass its part of W_O. For a control, its values are held against the triggers of the model.""",
            conclude="""
Where memories share a softmax with the context, the best trigger is also one where little competes: how often that is
the first token of a sentence is told beside. A model that is not as good, or as long trained, may agree less for that
alone.""",
            applies=lambda findings: OF_OWN in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

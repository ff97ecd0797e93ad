"""Other weights in one sub-layer at a time, and in one head."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.diagnostics.patched import Patch, costs_of, joined
from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.shown import NAMES, ByDocument, told

EXPERIMENT = "one-head"
_OF_LAYERS: tuple[Patch, ...] = ("uniform", "frozen", "norms")
_SHARE = 0.1
"""Of the heads: so few are "a few" in the claim."""


@dataclass(frozen=True)
class SubLayer:
    """One sub-layer whose heads all have other weights."""

    layer: str
    change: dict[Patch, Estimate]
    """Of the next token's loss, in nats."""
    distance: dict[Patch, Estimate]


@dataclass(frozen=True)
class Head:
    """One head with uniform weights."""

    layer: str
    head: int
    change: Estimate
    distance: Estimate


@dataclass(frozen=True)
class OneHeadResult:
    """What patches of one sub-layer or head cost; what they cost at each position lies beside it as arrays."""

    n_positions: int
    n_texts: int
    n_documents: int
    n_heads: int
    """Of all sub-layers together."""
    layers: tuple[SubLayer, ...]
    heads: tuple[Head, ...]


def _run(study: Wiegreffe2019, listen: StageListener) -> OneHeadResult:
    texts = study.some_texts(study.options.layer_positions)
    layers, every = (
        study.model.attention_layers,
        [(o.name, h) for o in study.model.attention_layers for h in range(o.n_heads)],
    )
    drawn = np.random.default_rng([study.options.seed, 42]).permutation(len(every))[: study.options.heads]
    heads = [every[number] for number in np.sort(drawn).tolist()]
    some = []
    for number, text in enumerate(texts):
        other = study.replacements(text, number)
        given = [
            other.given(patch, only={(one.name, head) for head in range(one.n_heads)})
            for one in layers
            for patch in _OF_LAYERS
        ]
        given += [other.given("uniform", only={head}) for head in heads]
        some.append(costs_of(study.model, text, given))
        listen(Stage(EXPERIMENT, number + 1, len(texts)))
    found = joined(some)
    arrays = {name: getattr(found, name) for name in ("document", "change", "distance")}
    study.results.save_arrays(EXPERIMENT, arrays)
    at, n = ByDocument(found.document), len(_OF_LAYERS)

    def by_patch(of: np.ndarray, place: int) -> dict[Patch, Estimate]:
        return {patch: at.estimate(of[:, n * place + number]) for number, patch in enumerate(_OF_LAYERS)}

    return OneHeadResult(
        n_positions=len(found.loss),
        n_texts=len(texts),
        n_documents=at.n_documents,
        n_heads=len(every),
        layers=tuple(
            SubLayer(one.name, by_patch(found.change, place), by_patch(found.distance, place))
            for place, one in enumerate(layers)
        ),
        heads=tuple(
            Head(layer, head, *(at.estimate(of[:, n * len(layers) + number]) for of in (found.change, found.distance)))
            for number, (layer, head) in enumerate(heads)
        ),
    )


def _result(findings: Findings) -> OneHeadResult:
    return findings.get(EXPERIMENT, OneHeadResult)


def _arrays(findings: Findings) -> dict[str, np.ndarray]:
    return Results(findings.folder, findings.header).load_arrays(EXPERIMENT)


def _reading(findings: Findings) -> str:
    found = _result(findings)
    layer = max(found.layers, key=lambda one: one.change["uniform"].value)
    head = max(found.heads, key=lambda one: one.change.value)
    return (
        f"Of single sub-layers {layer.layer} is the one that uniform weights cost most, {layer.change['uniform'].value:+.3g} "
        f"nats; of single heads {head.layer}.H{head.head}, {head.change.value:+.3g}."
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    all_of = "all" if len(found.heads) == found.n_heads else f"{len(found.heads):,} of"
    return (
        f"{found.n_positions:,} positions in {found.n_texts:,} held-out sentences of {found.n_documents:,} documents; "
        f"{len(found.layers)} sub-layers and {all_of} {found.n_heads:,} heads, one at a time; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    at, arrays = ByDocument(_arrays(findings)["document"]), _arrays(findings)["change"]
    n = len(_OF_LAYERS) * len(found.layers)
    for number, patch in enumerate(_OF_LAYERS):
        mean = at.estimate(arrays[:, number : n : len(_OF_LAYERS)])
        yield Number.of(f"one sub-layer's weights {NAMES[patch]}, mean of sub-layers", "-", mean, "nats")
    yield Number.of("one head's weights uniform, mean of heads", "-", at.estimate(arrays[:, n:]), "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    """Heads are ranked on one half of the documents and measured on the other, so that chance has no part in the order."""
    found, arrays = _result(findings), _arrays(findings)
    documents = arrays["document"]
    names = np.unique(documents)
    first = np.isin(documents, names[::2])
    if len(names) < 4:
        return
    change = arrays["change"][:, len(_OF_LAYERS) * len(found.layers) :]
    n_few = max(1, round(_SHARE * change.shape[1]))
    order = np.argsort(-change[first].mean(0), kind="stable")
    at = ByDocument(documents[~first])
    few, rest = change[~first][:, order[:n_few]].sum(1), change[~first][:, order[n_few:]].sum(1)
    more = at.difference(few, rest)
    yield Claim(
        "a few heads need their weights: a tenth of them cost more, added up one by one, than all the others",
        above(more, unit="nats"),
        f"{n_few} of {change.shape[1]} heads, chosen on half of the documents, measured on the others, cost {told(more)} more",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    rows: list[Row] = [
        {"layer": place, "name": one.layer, "series": NAMES[patch]} | plain(one.change[patch])
        for patch in _OF_LAYERS
        for place, one in enumerate(found.layers)
    ]
    caption = "What the next token's loss gains with other weights in all heads of one sub-layer."
    yield Chart("patched-sublayers", caption, "lines", rows, "loss, nats more", percent=False)
    boxes = [
        {"panel": "loss, nats more", "row": f"H{one.head}", "column": one.layer, "value": one.change.value, "label": ""}
        for one in sorted(found.heads, key=lambda one: one.head)
    ]
    caption = "Loss of the next token with uniform weights in one head: green more, orange less, no box not tried."
    yield Chart("patched-heads", caption, "heat", boxes, "head", x_title="sub-layer", percent=False)


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"layer": one.layer, "head": one.head, "loss, more": plain(one.change.value), "low": plain(one.change.low)}
        | {"high": plain(one.change.high), "TVD": plain(one.distance.value)}
        for one in sorted(_result(findings).heads, key=lambda one: -one.change.value)
    ]
    yield Table("patched-heads", "Uniform weights in one head; losses in nats", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=2,
    experiments=lambda _: [Experiment(EXPERIMENT, OneHeadResult, _run)],
    results={EXPERIMENT: OneHeadResult},
    exhibits=(
        Exhibit(
            order=2,
            name="Addition",
            title="Which heads need their weights?",
            question="If one sub-layer, or one head, is given other weights, how much worse are predictions?",
            definition="""
As above, with weights replaced in all heads of one sub-layer, or in one head alone (uniform), and all others computing
their own from what arrives. With grouped queries each query head is patched by itself, with the values that its group
shares.""",
            conclude="""
Others make up for what one head lacks, so costs do not add up. A head that costs nothing here may be needed on other
text.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

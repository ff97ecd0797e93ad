"""One model for all texts that looks elsewhere and predicts the same."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from ffmem.analyses.diagnostics.guide import accuracies, guide_maps
from ffmem.analyses.diagnostics.tuning import Moved, moved, seen_in, tuned
from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019 import guide
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.documents import labels_of
from ffmem.studies.wiegreffe2019.shown import ByDocument, told

EXPERIMENT = "tuned"
PRICES = (0.03, 0.1, 0.3, 1.0)
_GUIDES = 0.3
"""The price whose model guides a classifier."""
_LEARNED, _TESTED = 32, 24
"""Most sentences that it is tuned on, and tested on."""


@dataclass(frozen=True)
class Price:
    """What came of one price."""

    price: float
    distance: Estimate
    """TVD of predictions on held-out sentences."""
    jsd: Estimate
    norm_jsd: Estimate
    learned_distance: float
    """The same on those that it was tuned on."""
    learned_jsd: float


@dataclass(frozen=True)
class TunedResult:
    """What was found; the numbers of each sentence lie beside it as arrays."""

    n_steps: int
    n_learned: int
    n_tested: int
    n_documents: int
    prices: tuple[Price, ...]
    guided: dict[str, Estimate]
    """Of a classifier that looks where the model of `_GUIDES` does: accuracy, by what documents say of themselves."""


def _run(study: Wiegreffe2019, listen: StageListener) -> TunedResult:
    model, steps = study.model, study.options.tuning_steps
    learned, tested = study.donors[:_LEARNED], study.texts[:_TESTED]
    with torch.no_grad():
        own = [seen_in(model, text.ids) for text in (*learned, *tested)]
    arrays: dict[str, np.ndarray] = {"document": np.array([text.document for text in tested])}
    at, prices, guided = ByDocument(arrays["document"]), [], {}
    for number, price in enumerate(PRICES):
        on_step = partial(_tell, listen, number * steps, len(PRICES) * steps)
        ids = [text.ids for text in learned]
        with tuned(model, ids, price, steps=steps, seed=study.options.seed, on_step=on_step):
            with torch.no_grad():
                found = [
                    moved(one, seen_in(model, text.ids)) for one, text in zip(own, (*learned, *tested), strict=True)
                ]
            if price == _GUIDES and study.documents.enough:
                guided = _guided(study)
        of_tested = {name: np.array([getattr(one, name) for one in found[len(learned) :]]) for name in _NAMES}
        arrays |= {f"{number}.{name}": values for name, values in of_tested.items()}
        before = {name: float(np.mean([getattr(one, name) for one in found[: len(learned)]])) for name in _NAMES}
        distance, jsd, norm_jsd = (at.estimate(of_tested[name]) for name in _NAMES)
        prices.append(Price(price, distance, jsd, norm_jsd, before["distance"], before["jsd"]))
    arrays |= {f"guide.{name}": right for name, right in guided.items()}
    study.results.save_arrays(EXPERIMENT, arrays)
    on_documents = ByDocument(study.documents.numbers[study.documents.test])
    return TunedResult(
        steps, len(learned), len(tested), at.n_documents, tuple(prices),
        {name: on_documents.estimate(right) for name, right in guided.items()},
    )  # fmt: skip


_NAMES = tuple(Moved.__dataclass_fields__)


def _tell(listen: StageListener, before: int, total: int, done: int) -> None:
    listen(Stage(EXPERIMENT, before + done, total))


def _guided(study: Wiegreffe2019) -> dict[str, np.ndarray]:
    """Which test documents a classifier gets right, mean over seeds, by what documents say of themselves."""
    before, _ = study.model.special_tokens(study.bos)
    maps = guide_maps(study.model, study.documents.tokens, before)
    return {
        name: accuracies(study.documents.labelled(labels), {"tuned": lambda _: maps.weights}, guide.SEEDS)[0].mean(0)
        for name, labels in labels_of(study.index.text).items()
    }


def _result(findings: Findings) -> TunedResult:
    return findings.get(EXPERIMENT, TunedResult)


def _arrays(findings: Findings) -> dict[str, np.ndarray]:
    return Results(findings.folder, findings.header).load_arrays(EXPERIMENT)


def _reading(findings: Findings) -> str:
    return "; ".join(
        f"price {one.price:g}: TVD {one.distance.value:.3g}, JSD of weights {one.jsd.value:.3g} and of ‖αf‖ "
        f"{one.norm_jsd.value:.3g}"
        for one in _result(findings).prices
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_steps} steps of 4 of {found.n_learned} indexed sentences for each price; tested on {found.n_tested} "
        f"held-out sentences of {found.n_documents} documents; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    for one in found.prices:
        yield Number.of(f"price {one.price:g}: TVD of predictions", "-", one.distance, "")
        yield Number.of(f"price {one.price:g}: JSD of weights", "-", one.jsd, "nats")
        yield Number.of(f"price {one.price:g}: JSD of ‖αf‖", "-", one.norm_jsd, "nats")
    for name, accuracy in found.guided.items():
        yield Number.of(
            f"{name}: right, guided by the model of price {_GUIDES:g}", "worse than by own weights", accuracy
        )


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays, found = _arrays(findings), _result(findings)
    at = ByDocument(arrays["document"])
    for number, one in enumerate(found.prices):
        if one.price != _GUIDES:
            continue
        less = at.difference(arrays[f"{number}.jsd"], arrays[f"{number}.norm_jsd"])
        yield Claim(
            f"price {one.price:g}: norms of what is added go less far than weights",
            above(less, unit="nats"),
            f"JSD of weights, less that of ‖αf‖: {told(less)}",
        )
    if guide.EXPERIMENT not in findings.values:
        return
    own = Results(findings.folder, findings.header).load_arrays(guide.EXPERIMENT)
    on_documents = ByDocument(own["document"])
    for name in found.guided:
        more = on_documents.difference(own[name][list(guide.NAMES).index("weights")], arrays[f"guide.{name}"])
        low, high = more.interval()
        yield Claim(
            f"{name}: the tuned model's weights guide worse than the model's own",
            above(more),
            f"own weights are more right by {100 * more.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows: list[Row] = [
        {"middle": one.distance.value, "name": f"price {one.price:g}", "series": series} | plain(estimate)
        for one in _result(findings).prices
        for series, estimate in (("weights", one.jsd), ("‖αf‖", one.norm_jsd))
    ]
    caption = "How far maps go, over how far predictions do: a tuned model for each price, on held-out text."
    yield Chart(
        "tuned", caption, "scatter", rows, "JSD, nats (ln 2 at most)", x_title="TVD(p, p')", percent=False
    )  # fmt: skip


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    yield (
        "On the sentences that it was tuned on: "
        + "; ".join(
            f"price {one.price:g}, TVD {one.learned_distance:.3g}, JSD {one.learned_jsd:.3g}" for one in found.prices
        )
        + "."
    )


CHAPTER = Chapter(
    order=6,
    experiments=lambda study: [Experiment(EXPERIMENT, TunedResult, _run)] if study.options.tuning_steps else [],
    results={EXPERIMENT: TunedResult},
    exhibits=(
        Exhibit(
            order=6,
            name="Section 4",
            title="Is there a model that looks elsewhere and predicts the same?",
            question="If queries and keys alone are tuned, how far can maps go on texts that it has not seen?",
            definition="""
W_Q and W_K of all heads are tuned by Adam to make TVD(p, p') - price x KL(alpha' || alpha) small on indexed sentences,
for each price anew, from the model's own beginning and a small push; then the model is held to sentences that it was not
tuned on, and its weights are put back. JSD is a mean over sub-layers, heads and queries of two sources or more. The model
of the price 0.3 is also asked to guide the small classifier.""",
            conclude="""
What such a model finds is one set of weights for all texts, so that it says more than weights that are looked for on
each. Few steps are taken: a longer training may find models that lie farther off at the same TVD, and none that this one
finds can be taken back. With a price of 0 nothing moves.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            notes=_notes,
        ),
    ),
)

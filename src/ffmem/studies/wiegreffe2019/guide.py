"""A small classifier that is told where to look, on what documents are about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ffmem.analyses.diagnostics.guide import Guide, GuideMaps, Labelled, accuracies, commonest_right, guide_maps
from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.documents import labels_of
from ffmem.studies.wiegreffe2019.shown import ByDocument

EXPERIMENT = "guide"
_OF_A_LABEL = 5
"""Documents of each label, on average, below which nothing is claimed of what was learned from them."""
SEEDS = (0, 1, 2)
NAMES: dict[Guide, str] = {
    "uniform": "uniform",
    "learned": "learned by the classifier",
    "weights": "the model's weights",
    "weights but for the first": "the model's weights, first token left out",
    "norms": "the model's ‖αf‖",
    "permuted": "the model's weights in random order",
}


_SHORT: dict[Guide, str] = {
    "uniform": "uniform",
    "learned": "learned",
    "weights": "weights",
    "weights but for the first": "not the first",
    "norms": "‖αf‖",
    "permuted": "mixed up",
}
"""As they stand below bars."""


@dataclass(frozen=True)
class Guided:
    """Test accuracy with one guide."""

    guide: Guide
    accuracy: Estimate
    """Mean over seeds."""
    by_seed: tuple[float, ...]


@dataclass(frozen=True)
class Field:
    """One thing that documents say of themselves."""

    name: str
    n_labels: int
    commonest: Estimate
    """Accuracy of who always says the commonest label: blind."""
    guided: tuple[Guided, ...]


@dataclass(frozen=True)
class GuideResult:
    """How well guides do; which test documents are right lies beside it as arrays."""

    n_learned: int
    n_test: int
    n_tokens: int
    n_short: int
    """Documents that were left out, since they have fewer tokens than are read."""
    fields: tuple[Field, ...]


def _possible(study: Wiegreffe2019) -> bool:
    text = study.index.text
    return bool(labels_of(text)) and text.n_sentences < text.n_all_sentences


def _run(study: Wiegreffe2019, listen: StageListener) -> GuideResult:
    text, read, fields = study.index.text, study.documents, []
    arrays: dict[str, np.ndarray] = {"document": read.numbers[read.test]}
    if read.enough:
        before, _ = study.model.special_tokens(study.bos)
        maps = guide_maps(
            study.model,
            read.tokens,
            before,
            lambda done: listen(Stage(f"{EXPERIMENT}: maps", done, len(read.tokens))),
        )
        at = ByDocument(arrays["document"])
        for name, labels in labels_of(text).items():
            data = read.labelled(labels)
            right = accuracies(data, _guides(maps), SEEDS, partial(_tell, listen, name))
            arrays[name] = right.mean(1)
            fields.append(_field(name, data, right, at))
    study.results.save_arrays(EXPERIMENT, arrays)
    n_test, n_tokens = int(read.test.sum()), read.tokens.shape[1]
    return GuideResult(len(read.test) - n_test, n_test, n_tokens, read.n_short, tuple(fields))


def _tell(listen: StageListener, name: str, done: int) -> None:
    listen(Stage(f"{EXPERIMENT}: {name}", done, len(NAMES) * len(SEEDS)))


def _guides(maps: GuideMaps) -> dict[Guide, Callable[[int], np.ndarray | None]]:
    return {guide: partial(maps.of, guide) for guide in NAMES}


def _field(name: str, data: Labelled, right: np.ndarray, at: ByDocument) -> Field:
    guided = tuple(
        Guided(guide, at.estimate(right[number].mean(0)), tuple(right[number].mean(1).tolist()))
        for number, guide in enumerate(NAMES)
    )
    commonest = at.estimate(commonest_right(data).astype(float))
    return Field(name, int(data.labels.max()) + 1, commonest, guided)


def _taught(found: GuideResult) -> list[Field]:
    """Those with documents enough for each label that something can be learned of it."""
    return [one for one in found.fields if found.n_learned >= _OF_A_LABEL * one.n_labels]


def _result(findings: Findings) -> GuideResult:
    return findings.get(EXPERIMENT, GuideResult)


def _reading(findings: Findings) -> str:
    parts = []
    for one in _result(findings).fields:
        best = max(one.guided, key=lambda each: each.accuracy.value)
        told_of = {each.guide: f"{100 * each.accuracy.value:.1f} %" for each in one.guided}
        parts.append(
            f"{one.name}: {told_of['uniform']} with uniform weights, {told_of['weights']} with the model's, "
            f"{told_of['norms']} with its norms, {told_of['learned']} with a map that is learned; best {NAMES[best.guide]}"
        )
    return "; ".join(parts) + "."


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"the first {found.n_tokens} tokens of {found.n_learned:,} indexed documents, tested on {found.n_test:,} held-out "
        f"ones; seeds {', '.join(map(str, SEEDS))}; intervals by drawing test documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).fields:
        yield Number.of(f"{one.name}: always the commonest of {one.n_labels}", "-", one.commonest)
        for each in one.guided:
            paper = "better than uniform" if each.guide == "weights" else "-"
            yield Number.of(f"{one.name}: {NAMES[each.guide]}", paper, each.accuracy)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    at, names = ByDocument(arrays["document"]), list(NAMES)
    for one in _taught(_result(findings)):
        right = dict(zip(names, arrays[one.name], strict=True))
        for statement, better, worse in (
            ("the model's weights guide better than uniform ones", "weights", "uniform"),
            ("the model's weights guide better than the same in random order", "weights", "permuted"),
            ("norms of what is added guide better than weights", "norms", "weights"),
        ):
            more = at.difference(right[better], right[worse])
            low, high = more.interval()
            yield Claim(
                f"{one.name}: {statement}",
                above(more),
                f"more right by {100 * more.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
            )


def _charts(findings: Findings) -> Iterator[Chart]:
    for one in _result(findings).fields:
        rows: list[Row] = [
            {"category": "commonest", **plain(one.commonest)},
            *({"category": _SHORT[each.guide]} | plain(each.accuracy) for each in one.guided),
        ]
        caption = f"Test documents whose {one.name} a small classifier gets right, by what tells it where to look."
        yield Chart(f"guide-{one.name}", caption, "bars", rows, "right")


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"labels": one.name, "guide": NAMES[each.guide], "right": each.accuracy.value}
        | {"low": plain(each.accuracy.low), "high": plain(each.accuracy.high)}
        | {f"seed {seed}": value for seed, value in zip(SEEDS, each.by_seed, strict=True)}
        for one in _result(findings).fields
        for each in one.guided
    ]
    if rows:
        yield Table("guided", "Accuracy by guide and seed", tuple(rows[0]), rows, folded=True)


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    if found.n_short:
        yield f"{found.n_short:,} documents have fewer than {found.n_tokens} tokens, and were left out."
    for one in found.fields:
        if one not in _taught(found):
            yield (
                f"Nothing is claimed of {one.name}: {found.n_learned:,} documents to learn {one.n_labels} labels from are "
                f"fewer than {_OF_A_LABEL} for each."
            )


CHAPTER = Chapter(
    order=5,
    experiments=lambda study: [Experiment(EXPERIMENT, GuideResult, _run)] if _possible(study) else [],
    results={EXPERIMENT: GuideResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Section 3.3",
            title="Do the weights guide another model?",
            question="Does a classifier that sees each token by itself do better where it is told to look by better weights?",
            definition="""
A classifier learns a vector for each token, an affine map and tanh, adds these up with the weights a_j that it is given,
and an affine map gives scores of labels. Its a_j: all alike; learned from each token by itself; the model's weights of
the last query of the text, mean over heads and sub-layers, special tokens left out; the same without the first token;
shares of ‖alpha f(x)‖ in their place; the weights in random order. 64 numbers wide, 20 epochs, AdamW, the same for every
map. That number was settled once on `reference`, by accuracies on the held-out documents of `topics`: of these, figures may
be a little high. Accuracy is that on held-out documents, mean over three seeds.""",
            conclude="""
A map that guides better holds more of where the label can be read off, whatever else it holds. One that guides worse may
still be what the model needs for its own predictions, which are of next tokens and not of labels.""",
            applies=lambda findings: EXPERIMENT in findings.values and bool(_result(findings).fields),
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

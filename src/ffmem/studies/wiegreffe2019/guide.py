"""A small classifier that is told where to look, on what documents are about."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

import numpy as np

from ffmem.analyses.diagnostics.guide import Guide, GuideMaps, Labelled, accuracies, commonest_right, guide_maps
from ffmem.analyses.intervals import Estimate
from ffmem.store.text import LABEL_FIELDS, TextReader
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.shown import ByDocument, told

EXPERIMENT = "guide"
SEEDS = (0, 1, 2)
_FIELDS = (*LABEL_FIELDS, "genre")
_LEAST = 10
"""Documents that a classifier learns from, and that it is tested on."""
_NAMES: dict[Guide, str] = {
    "uniform": "uniform",
    "learned": "learned by the classifier",
    "weights": "the model's weights",
    "weights but for the first": "the model's weights, first token left out",
    "norms": "the model's ‖αf‖",
    "permuted": "the model's weights in random order",
}


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


def labels_of(text: TextReader) -> dict[str, np.ndarray]:
    """The labels of all documents under each field that all of them have, with more than one among them."""
    values: dict[str, list[str]] = {name: [] for name in _FIELDS}
    for metadata in text.metadata():
        values = {name: some for name, some in values.items() if isinstance(metadata.get(name), str)}
        for name, some in values.items():
            some.append(metadata[name])
    return {name: np.unique(some, return_inverse=True)[1] for name, some in values.items() if len(set(some)) > 1}


def first_tokens(text: TextReader, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first n tokens of each document that has as many, its number, and whether it was held out."""
    starts = text.sentence_start.astype(np.int64)
    sentences = np.arange(text.n_all_sentences)
    if text.context is not None:
        sentences = sentences[text.context == 0]
    documents = text.document_of(sentences)
    held_out = set(documents[sentences >= text.n_sentences].tolist())
    read: dict[int, list[int]] = {}
    for sentence, document in zip(sentences.tolist(), documents.tolist(), strict=True):
        so_far = read.setdefault(document, [])
        if len(so_far) < n:
            so_far += text.token_id[starts[sentence] : starts[sentence + 1]].tolist()
    long = {document: ids[:n] for document, ids in sorted(read.items()) if len(ids) >= n}
    tokens = np.array(list(long.values()), dtype=np.int64).reshape(-1, n)
    return tokens, np.array(list(long), dtype=np.int64), np.array([one in held_out for one in long], dtype=bool)


def _drawn(study: Wiegreffe2019, test: np.ndarray) -> np.ndarray:
    """Which documents are read: some of those that are learned from, and half as many of the others."""
    rng, n = np.random.default_rng([study.options.seed, 43]), study.options.guide_documents
    chosen = [rng.permutation(np.flatnonzero(one))[:most] for one, most in ((~test, n), (test, n // 2))]
    return np.sort(np.concatenate(chosen))


def _possible(study: Wiegreffe2019) -> bool:
    text = study.index.text
    return bool(labels_of(text)) and text.n_sentences < text.n_all_sentences


def _run(study: Wiegreffe2019, listen: StageListener) -> GuideResult:
    text, n = study.index.text, study.options.guide_tokens
    tokens, documents, test = first_tokens(text, n)
    n_short = text.document_of(np.arange(text.n_all_sentences)).max() + 1 - len(tokens)
    kept = _drawn(study, test)
    tokens, documents, test = tokens[kept], documents[kept], test[kept]
    fields: list[Field] = []
    arrays: dict[str, np.ndarray] = {"document": documents[test]}
    if min(int(test.sum()), int((~test).sum())) >= _LEAST:
        before, _ = study.model.special_tokens(study.bos)
        maps = guide_maps(
            study.model, tokens, before, lambda done: listen(Stage(f"{EXPERIMENT}: maps", done, len(tokens)))
        )
        at = ByDocument(documents[test])
        for name, labels in labels_of(text).items():
            data = Labelled(tokens, labels[documents], test)
            right = accuracies(data, _guides(maps), SEEDS, partial(_tell, listen, name))
            arrays[name] = right.mean(1)
            fields.append(_field(name, data, right, at))
    study.results.save_arrays(EXPERIMENT, arrays)
    return GuideResult(int((~test).sum()), int(test.sum()), n, int(n_short), tuple(fields))


def _tell(listen: StageListener, name: str, done: int) -> None:
    listen(Stage(f"{EXPERIMENT}: {name}", done, len(_NAMES) * len(SEEDS)))


def _guides(maps: GuideMaps) -> dict[Guide, Callable[[int], np.ndarray | None]]:
    return {guide: partial(maps.of, guide) for guide in _NAMES}


def _field(name: str, data: Labelled, right: np.ndarray, at: ByDocument) -> Field:
    guided = tuple(
        Guided(guide, at.estimate(right[number].mean(0)), tuple(right[number].mean(1).tolist()))
        for number, guide in enumerate(_NAMES)
    )
    commonest = at.estimate(commonest_right(data).astype(float))
    return Field(name, int(data.labels.max()) + 1, commonest, guided)


def _result(findings: Findings) -> GuideResult:
    return findings.get(EXPERIMENT, GuideResult)


def _reading(findings: Findings) -> str:
    parts = []
    for one in _result(findings).fields:
        best = max(one.guided, key=lambda each: each.accuracy.value)
        told_of = {each.guide: f"{100 * each.accuracy.value:.1f} %" for each in one.guided}
        parts.append(
            f"{one.name}: {told_of['uniform']} with uniform weights, {told_of['weights']} with the model's, {told_of['norms']} with "
            f"its norms, {told_of['learned']} with a map that is learned; best {_NAMES[best.guide]}"
        )
    return "; ".join(parts) + "."


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"the first {found.n_tokens} tokens of {found.n_learned:,} indexed documents, tested on {found.n_test:,} held-out ones; "
        f"seeds {', '.join(map(str, SEEDS))}; intervals by drawing test documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).fields:
        yield Number.of(f"{one.name}: always the commonest of {one.n_labels}", "-", one.commonest)
        for each in one.guided:
            seeds = ", ".join(f"{100 * value:.1f}" for value in each.by_seed)
            paper = "better than uniform" if each.guide == "weights" else "-"
            yield Number.of(f"{one.name}: {_NAMES[each.guide]} (seeds {seeds})", paper, each.accuracy)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    at, names = ByDocument(arrays["document"]), list(_NAMES)
    for one in _result(findings).fields:
        right = dict(zip(names, arrays[one.name], strict=True))
        for statement, better, worse in (
            ("the model's weights guide better than uniform ones", "weights", "uniform"),
            ("the model's weights guide better than the same in random order", "weights", "permuted"),
            ("norms of what is added guide better than weights", "norms", "weights"),
        ):
            more = at.mean(right[better] - right[worse])  # type: ignore[index] # names of guides
            low, high = more.interval()
            yield Claim(
                f"{one.name}: {statement}",
                above(more),
                f"more right by {100 * more.value:+.1f} points ({100 * low:+.1f} to {100 * high:+.1f})",
            )


def _charts(findings: Findings) -> Iterator[Chart]:
    for one in _result(findings).fields:
        rows: list[Row] = [
            {"category": "always the commonest", **plain(one.commonest)},
            *({"category": _NAMES[each.guide]} | plain(each.accuracy) for each in one.guided),
        ]
        caption = f"Test documents whose {one.name} a small classifier gets right, by what tells it where to look."
        yield Chart(f"guide-{one.name}", caption, "bars", rows, "right")


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"labels": one.name, "guide": _NAMES[each.guide], "right": each.accuracy.value}
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


CHAPTER = Chapter(
    order=5,
    experiments=lambda study: [Experiment(EXPERIMENT, GuideResult, _run)] if _possible(study) else [],
    results={EXPERIMENT: GuideResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Section 3.3",
            title="Do the weights guide another model?",
            question="If a classifier that sees each token by itself is told where to look, does it do better with better weights?",
            definition="""
A classifier learns a vector for each token, an affine map and tanh, adds these up with the weights a_j that it is given, and an
affine map gives scores of labels. Its a_j: all alike; learned from each token by itself; the model's weights of the last query
of the text, mean over heads and sub-layers, special tokens left out; the same without the first token; shares of ‖alpha f(x)‖
in their place; the weights in random order. 64 numbers wide, 12 epochs, AdamW: nothing is chosen by the test score. Accuracy
is that on held-out documents, mean over three seeds.""",
            conclude="""
A map that guides better holds more of where the label can be read off, whatever else it holds. One that guides worse may still be
what the model needs for its own predictions, which are of next tokens and not of labels.""",
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

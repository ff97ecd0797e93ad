"""Whether the top tokens of a value belong together. No person judges them here: the index's own text does."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from ffmem.analyses.intervals import Estimate, Sums, mean_ratio, ratios
from ffmem.analyses.updates.concepts import MIN_DOCUMENTS, N_TOP, permuted, shared_documents, top_tokens
from ffmem.analyses.updates.dominant import SubUpdates
from ffmem.analyses.updates.readout import stream_values
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, points, share
from ffmem.studies.geva2022.context import Geva2022, as_tensor
from ffmem.studies.geva2022.sub_updates import EXPERIMENT as SUB_UPDATES
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, every

EXPERIMENT = "concepts"
_KINDS = ("values", "permuted", "tokens")
"""Dominant values; the same numbers in another order; and in the place of each top token one as frequent."""
_N_SHOWN = 8
"""Tokens of a value that a table shows."""


@dataclass(frozen=True)
class LayerConcepts:
    """The dominant values of one layer. Shares of pairs of top tokens that share more documents than by chance."""

    layer: str
    n_cells: int
    values: Estimate
    permuted: Estimate
    tokens: Estimate


@dataclass(frozen=True)
class ConceptExample:
    """A value whose top tokens belong together."""

    layer: str
    cell: str
    """Its id, with a minus before it where its negative is written."""
    share: float
    tokens: tuple[str, ...]


@dataclass(frozen=True)
class ConceptsResult:
    """Dominant values, layer by layer; the pairs of each value lie beside it as arrays."""

    n_documents: int
    n_known: int
    """Tokens that are in enough documents to say something."""
    layers: tuple[LayerConcepts, ...]
    examples: tuple[ConceptExample, ...]


def _run(study: Geva2022, listen: StageListener) -> ConceptsResult:
    shared, seed = shared_documents(study.index, seed=study.options.seed), study.options.seed
    dominant: np.ndarray = SubUpdates(**study.results.load_arrays(SUB_UPDATES)).dominant
    names, parts = study.layer_names(), []
    examples: list[ConceptExample] = []
    for layer, name in enumerate(names):
        cells = _drawn(dominant[:, layer], study.options.update_cells, np.random.default_rng([seed, 25, layer]))
        signed = as_tensor(np.sign(cells).astype(np.float32), study.model)[:, None]
        rows = stream_values(study.model, layer)[as_tensor(np.abs(cells) - 1, study.model)] * signed
        top = top_tokens(study.readout, rows)
        other = top_tokens(study.readout, permuted(rows, seed=seed + layer))
        alike = shared.alike(top, np.random.default_rng([seed, 26, layer]))
        pairs = np.stack([np.stack(shared.coherence(one)) for one in (top, other, alike)])  # (kinds, 2, cells)
        parts.append({"layer": np.full(len(cells), layer), "pairs": pairs.transpose(2, 0, 1)})
        examples += _examples(study, name, cells, pairs[0], top)
        listen(Stage(EXPERIMENT, layer + 1, len(names)))
    arrays = {key: np.concatenate([part[key] for part in parts]) for key in ("layer", "pairs")}
    study.results.save_arrays(EXPERIMENT, arrays)
    columns = [ratios(_sums(arrays, kind, len(names)), seed=seed) for kind in range(len(_KINDS))]
    return ConceptsResult(
        n_documents=shared.n_documents,
        n_known=len(shared.has),
        layers=tuple(
            LayerConcepts(name, int((arrays["layer"] == layer).sum()), *(column[layer] for column in columns))
            for layer, name in enumerate(names)
        ),
        examples=tuple(examples),
    )


def _drawn(dominant: Int[np.ndarray, "n ten"], n: int, rng: np.random.Generator) -> Int[np.ndarray, "some"]:
    """Random cells among those that are dominant anywhere: 1 + row, with the sign."""
    cells = np.unique(dominant[dominant != 0])
    found: np.ndarray = np.sort(rng.permutation(cells)[:n]).astype(np.int64)
    return found


def _examples(
    study: Geva2022, layer: str, cells: np.ndarray, pairs: np.ndarray, top: np.ndarray
) -> Iterator[ConceptExample]:
    """The value of a layer whose pairs share documents most often, of the half with more pairs that are known."""
    if pairs[1].any():
        shares = np.where(pairs[1] >= max(1, np.median(pairs[1])), pairs[0] / np.maximum(pairs[1], 1), -1.0)
        best = int(shares.argmax())
        tokens = study.index.text.token_strings(top[best, :_N_SHOWN].tolist())
        cell = f"{'-' if cells[best] < 0 else ''}{layer}.{abs(int(cells[best])) - 1}"
        yield ConceptExample(layer, cell, float(shares[best]), tokens)


def _sums(arrays: dict[str, np.ndarray], kind: int, n_layers: int) -> Sums:
    """Pairs that share documents, of all pairs: a row for each value, a column for each layer."""
    own = arrays["layer"][:, None] == np.arange(n_layers)
    pairs = arrays["pairs"][:, kind].astype(np.float64)
    return Sums(np.where(own, pairs[:, :1], 0.0), np.where(own, pairs[:, 1:], 0.0))


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values and any(layer.values.n for layer in _found(findings).layers)


def _found(findings: Findings) -> ConceptsResult:
    return findings.get(EXPERIMENT, ConceptsResult)


def _columns(findings: Findings) -> list[Sums]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    return [_sums(arrays, kind, len(_found(findings).layers)) for kind in range(len(_KINDS))]


def _reading(findings: Findings) -> str:
    values, other, tokens = (mean_ratio(one).value for one in _columns(findings))
    return (
        f"Of the pairs of the {N_TOP} top tokens of a dominant value, {share(values)} share more documents than by chance; of "
        f"the same numbers in another order {share(other)}, and of random tokens that are as frequent {share(tokens)}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return (
        f"{sum(layer.n_cells for layer in found.layers):,} dominant values; {found.n_known:,} tokens that are in at least "
        f"{MIN_DOCUMENTS} of {found.n_documents:,} documents; intervals by drawing values"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    names = ("dominant values", "the same numbers in another order", "random tokens, as frequent")
    for name, sums in zip(names, _columns(findings), strict=True):
        yield Number.of(f"pairs of top tokens that share documents: {name}", "-", mean_ratio(sums).estimate)


def _claims(findings: Findings) -> Iterator[Claim]:
    values, other, tokens = _columns(findings)
    beyond = [mean_ratio(values, less) for less in (other, tokens)]
    yield Claim(
        "dominant values promote tokens that belong together",
        every(*(above(one) for one in beyond)),
        f"pairs that share documents {interval(mean_ratio(values).estimate)}; less those of permuted values: "
        f"{points(beyond[0])}; less those of tokens that are as frequent: {points(beyond[1])}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = line_rows(
        _found(findings).layers,
        {
            "dominant values": lambda layer: layer.values,
            "the same numbers in another order": lambda layer: layer.permuted,
            "random tokens, as frequent": lambda layer: layer.tokens,
        },
    )
    yield Chart(
        "concepts",
        f"Pairs of the {N_TOP} top tokens that share more documents than by chance.",
        "lines",
        rows,
        "pairs",
        from_zero=False,
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "layer": one.layer,
            "cell": one.cell,
            "% of pairs": round(100 * one.share, 1),
            "top tokens": " ".join(repr(token) for token in one.tokens),
        }
        for one in _found(findings).examples
    ]
    yield Table(
        "concept-examples",
        "In each layer, the dominant value whose top tokens share documents most often",
        ("layer", "cell", "% of pairs", "top tokens"),
        rows,
        folded=True,
    )


CHAPTER = Chapter(
    order=2,
    experiments=lambda _: [Experiment(EXPERIMENT, ConceptsResult, _run)],
    results={EXPERIMENT: ConceptsResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Concepts",
            title="Do the top tokens of a value belong together?",
            question="Do the 30 tokens that a dominant value promotes most stand in the same documents?",
            definition="""
Two tokens belong together here if they share more documents of the indexed text than a b / D, what two tokens of a and of b out
of D documents share by chance. Values are drawn from those that are among the ten largest anywhere, negated where their
coefficient is below 0. Beside them: the top tokens of the same numbers in another order, and in the place of each top token one
that is in about as many documents. Tokens in few documents, or in all, are left out.""",
            conclude="""
It measures that tokens share documents, not that a person would name a concept: names that never meet count for nothing, and
parts of one word share documents, too. The paper's 55.1 % and 37 % come from people and are not compared.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

"""Cells that come on at a few tokens, or n-grams, alone, and whether they are against them: Voita et al. 2023."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.intervals import Estimate, Uncertain, each_ratio, mean_ratio, proportion
from ffmem.analyses.sparsity.active import LayerActive
from ffmem.analyses.sparsity.labels import LEAST, MOST, RATE, detectors, labels_of
from ffmem.analyses.updates.readout import Readout, stream_values
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, means_of_thirds, points, share, upper_less_lower
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, opposite
from ffmem.studies.wild2024.cells import arrays_of, cell_sums, of_all
from ffmem.studies.wild2024.context import Wild2024

EXPERIMENT = "detectors"
LENGTHS = (1, 2, 3)
"""Tokens of an n-gram."""
_N_NAMED = 200


@dataclass(frozen=True)
class LayerDetectors:
    """One layer."""

    layer: str
    n_judged: int
    """Cells that are active often enough to be judged."""
    found: tuple[Estimate, ...]
    """Of `LENGTHS`: share of these that are detectors of a few n-grams, and of no shorter ones."""
    n_tokens: int
    """Different tokens that its detectors of tokens are of."""


@dataclass(frozen=True)
class NamedDetector:
    """A detector of tokens."""

    cell: str
    token: str
    """At which it comes on most."""
    against: str
    """Whether its value is against that: "yes" or "no"; "" if that is not known."""


@dataclass(frozen=True)
class DetectorsResult:
    """Detectors by layer; what each cell is lies beside it as arrays."""

    n_positions: int
    n_types: int
    """Different tokens in the text."""
    reads_vocabulary: bool
    """Whether values can be read over the vocabulary, so that it is known what they are against."""
    layers: tuple[LayerDetectors, ...]
    named: tuple[NamedDetector, ...]


def _run(study: Wild2024, listen: StageListener) -> DetectorsResult:
    active, stretch, rng = (
        study.active(listen, EXPERIMENT),
        study.stretch,
        np.random.default_rng([study.options.seed, 44]),
    )
    labels = [labels_of(stretch.token), *(labels_of(stretch.ngrams(n)) for n in LENGTHS[1:])]
    shuffled = labels_of(rng.permutation(stretch.token))
    parts, layers = [], []
    reads = study.model.facts.predicts_next_token and study.model.has_head
    readout = Readout(study.model) if reads else None
    for place, layer in enumerate(active):
        found: list[dict[str, np.ndarray]] = []
        for _, bits in layer.blocks():
            own, by_chance = [detectors(bits, one) for one in labels], detectors(bits, shuffled)
            kinds = {f"of_{n}": one.found for n, one in zip(LENGTHS, own, strict=True)}
            found.append({"judged": own[0].judged, "token": own[0].best, "by_chance": by_chance.found, **kinds})
        arrays = {name: np.concatenate([one[name] for one in found]) for name in found[0]}
        for n in LENGTHS[1:]:
            arrays[f"of_{n}"] &= ~np.any([arrays[f"of_{shorter}"] for shorter in range(1, n)], axis=0)
        arrays["layer"] = np.full(layer.n_cells, place)
        arrays |= _against(study, readout, place, layer, arrays["token"], rng)
        n_judged = int(arrays["judged"].sum())
        shares = tuple(proportion(int(arrays[f"of_{n}"].sum()), n_judged) for n in LENGTHS)
        n_tokens = len(np.unique(arrays["token"][arrays["of_1"]]))
        layers.append(LayerDetectors(study.layer_names()[place], n_judged, shares, n_tokens))
        parts.append(arrays)
        listen(Stage(EXPERIMENT, place + 1, len(active)))
    every = {name: _kept(parts, name) for name in parts[0]}
    study.results.save_arrays(EXPERIMENT, every)
    named = tuple(_named(study, every))
    return DetectorsResult(len(stretch), len(labels[0].names), readout is not None, tuple(layers), named)


def _kept(parts: list[dict[str, np.ndarray]], name: str) -> np.ndarray:
    """The arrays of all layers, one after the other, of a type that a file can hold."""
    joined = np.concatenate([one[name] for one in parts])
    return joined.astype(np.int64) if joined.dtype != np.float64 else joined


def _against(
    study: Wild2024,
    readout: Readout | None,
    place: int,
    layer: LayerActive,
    token: np.ndarray,
    rng: np.random.Generator,
) -> dict[str, np.ndarray]:
    """Of detectors of tokens, whether what they add is against their token, and against another of the text; -1 for others."""
    against, other = np.full(layer.n_cells, -1), np.full(layer.n_cells, -1)
    rows = np.flatnonzero(token >= 0)
    if readout is not None and len(rows):
        signs = torch.from_numpy(np.where(layer.balance[rows] < 0, -1.0, 1.0)).float()
        drawn = rng.choice(study.stretch.token, len(rows))
        with torch.inference_mode():
            values = stream_values(study.model, place)[torch.from_numpy(rows).to(study.model.device)]
            added = values.cpu() * signs[:, None]
            for out, tokens in ((against, token[rows]), (other, drawn)):
                directions = readout.centred_rows(torch.from_numpy(tokens).to(study.model.device)).cpu()
                out[rows] = ((added * directions).sum(1) < 0).numpy()
    return {"against": against, "against_other": other}


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values and any(one.n_judged for one in _found(findings).layers)


def _found(findings: Findings) -> DetectorsResult:
    return findings.get(EXPERIMENT, DetectorsResult)


@dataclass(frozen=True)
class _Against:
    """Detectors whose values are against their token."""

    own: Estimate
    other: Estimate
    less: Uncertain
    """By so much more than against another token."""


def _suppress(findings: Findings) -> _Against | None:
    """None where there is no detector, or nothing is known of values."""
    arrays = arrays_of(findings, EXPERIMENT)
    of = arrays["against"] >= 0
    if not of.any():
        return None
    less = cell_sums(np.zeros(len(of), dtype=np.int64), arrays["against"] - arrays["against_other"], 1, of)
    return _Against(of_all(arrays["against"][of]), of_all(arrays["against_other"][of]), mean_ratio(less.differences))


def _reading(findings: Findings) -> str:
    found, arrays, against = _found(findings), arrays_of(findings, EXPERIMENT), _suppress(findings)
    n, n_judged = int(arrays["of_1"].sum()), int(arrays["judged"].sum())
    most = max(found.layers, key=lambda one: one.found[0].value if one.n_judged else 0.0)
    if not n:
        return f"Of {n_judged:,} cells that are active often enough, none comes on at a few tokens alone."
    told = "" if against is None else f" {share(against.own.value)} of their values are against their token."
    return (
        f"{n:,} of {n_judged:,} cells come on at no more than {MOST} tokens; most in {most.layer}, "
        f"{share(most.found[0].value)}.{told}"
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"{found.n_positions:,} positions with {found.n_types:,} different tokens; cells active at {LEAST} of them or more"


def _numbers(findings: Findings) -> Iterator[Number]:
    arrays, found = arrays_of(findings, EXPERIMENT), _found(findings)
    judged = arrays["judged"] > 0
    for n in LENGTHS:
        what = "tokens" if n == 1 else f"runs of {n} tokens"
        yield Number.of(f"detectors of a few {what}, of cells judged", "-", of_all(arrays[f"of_{n}"][judged]))
    yield Number.of(
        "detectors of tokens, with the tokens of the text mixed up", "-", of_all(arrays["by_chance"][judged])
    )
    yield Number("detectors of tokens", "5,351 (OPT-66B)", float(arrays["of_1"].sum()), unit="")
    n_tokens = len(np.unique(arrays["token"][arrays["of_1"] > 0]))
    yield Number("different tokens that they are of", "more than 10,000 (OPT-66B)", n_tokens, unit="")
    most = max(one.n_tokens for one in found.layers)
    yield Number("the most of one layer", "up to 1,500 (OPT-66B)", most, unit="")
    against = _suppress(findings)
    if against is not None:
        yield Number.of("detectors whose value is against their token", "more than 80", against.own)
        yield Number.of("the same of another token of the text", "-", against.other)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays, n_layers = arrays_of(findings, EXPERIMENT), len(_found(findings).layers)
    judged, against = arrays["judged"] > 0, _suppress(findings)
    one = np.zeros(len(judged), dtype=np.int64)
    more = each_ratio(cell_sums(one, arrays["of_1"] - arrays["by_chance"], 1, judged).differences)[0]
    yield Claim(
        "there are cells that come on at a few tokens alone, more than with the tokens of the text mixed up",
        above(more),
        f"{interval(of_all(arrays['of_1'][judged]))} and {interval(of_all(arrays['by_chance'][judged]))}; the first less the "
        f"second: {points(more)}",
    )
    sums = cell_sums(arrays["layer"], arrays["of_1"], n_layers, judged)
    if sums.known().above.shape[1] == n_layers > 1:
        (low, high), deeper = means_of_thirds(sums), upper_less_lower(sums)
        yield Claim(
            "detectors of tokens are in lower layers",
            opposite(above(deeper)),
            f"lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second less "
            f"the first: {points(deeper)}",
        )
    if against is not None:
        yield Claim(
            "detectors are against their own token more than against another",
            above(against.less),
            f"{interval(against.own)} and {interval(against.other)}; the first less the second: {points(against.less)}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    series = {
        "tokens": lambda one: one.found[0],
        "runs of 2 tokens": lambda one: one.found[1],
        "runs of 3 tokens": lambda one: one.found[2],
    }
    layers = [one for one in _found(findings).layers if one.n_judged]
    caption = "Cells that come on at a few tokens alone, or at a few runs of tokens."
    yield Chart("detectors", caption, "lines", line_rows(layers, series), "cells judged", order=tuple(series))


def _named(study: Wild2024, arrays: dict[str, np.ndarray]) -> Iterator[NamedDetector]:
    """The first detectors of tokens."""
    against = {1: "yes", 0: "no", -1: ""}
    rows = np.flatnonzero(arrays["of_1"])[:_N_NAMED]
    strings = study.index.text.token_strings(arrays["token"][rows].tolist())
    for number, token in zip(rows.tolist(), strings, strict=True):
        yield NamedDetector(study.cell_name(number), token, against[int(arrays["against"][number])])


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"cell": one.cell, "token": one.token, "its value is against it": one.against} for one in _found(findings).named
    ]
    if rows:
        caption = "Cells and the token at which each comes on most"
        yield Table("token-detectors", caption, tuple(rows[0]), rows, holds_text=True)


CHAPTER = Chapter(
    order=3,
    experiments=lambda _: [Experiment(EXPERIMENT, DetectorsResult, _run)],
    results={EXPERIMENT: DetectorsResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Detectors",
            title="Cells that come on at a few tokens alone",
            question="Which cells come on at a few tokens or runs of tokens, and are they for them or against them?",
            definition=f"""
A detector of tokens: at most {MOST} tokens, at each of which the cell is active in {100 * RATE:.0f} % of its occurrences or
more, have together {100 * RATE:.0f} % of the positions at which it is active. Only cells that are active at {LEAST} positions
or more are judged. Of runs of 2 and 3 tokens that end at the position the same, if the cell is no detector of shorter ones.
By chance: the same cells with the tokens of the text in random order. Against its token: U'_w . v below the mean of U' v over
the vocabulary, for the token w at which it comes on most; beside it the same of a token drawn from the text. (The bare sign
of U'_w . v says nothing: a softmax is blind to what is added to all.) Of gated cells v has the sign of the coefficients.""",
            conclude="""
A token that is in the text a few times may have a detector by luck, and one that is not there has none: more text finds more
of them (the paper read 20 million tokens). That a value is against its token is said of weights; what reaches the output
passes all layers above.""",
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

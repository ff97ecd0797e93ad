"""How many cells of each layer a token uses, a sentence, a window; and whether a text comes back to the same cells."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, proportion, ratios
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.analyses.sparsity.active import LayerActive
from ffmem.analyses.sparsity.limits import Limits
from ffmem.analyses.sparsity.stretch import Stretch
from ffmem.analyses.sparsity.use import RARE, CountedUse, counted_use, in_use_by_part, rarefied_use
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, points, share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, every
from ffmem.studies.wild2024.cells import arrays_of
from ffmem.studies.wild2024.context import Wild2024

EXPERIMENT = "use"
PAPER_WINDOW = 8_192
"""Positions of a window in the paper."""
_UNUSED = 1e-6
"""Of the energy of a position: a cell without a ReLU that has a smaller share of it everywhere is dead."""
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class LayerUse:
    """One layer."""

    layer: str
    n_cells: int
    token: Estimate
    """Share of its cells that are active at a position, mean of all positions."""
    routed: float
    """Of a mixture, the same of positions that are routed to a cell's expert; else as ``token``."""
    sentence: Estimate
    window: Estimate
    by_chance: float
    """Share that a sentence would use if its positions were drawn from the whole text, mean of all sentences."""
    dead: Estimate
    rare: Estimate
    of_tokens: tuple[float, ...]
    """Quantiles over positions, 5, 25, 50, 75 and 95 %."""
    of_sentences: tuple[float, ...]
    counted: CountedUse | None
    """By the counts of the index, exact; None for a control, and without a ReLU."""


@dataclass(frozen=True)
class UseResult:
    """Use by layer; what each document and window adds lies beside it as arrays."""

    limits: Limits | None
    """What counts as active; None: m > 0."""
    n_positions: int
    n_sentences: int
    n_documents: int
    n_windows: int
    window: int
    knows_sentences: bool
    """Whether the index has counted the sentences in which cells are active."""
    layers: tuple[LayerUse, ...]


@dataclass(frozen=True)
class _Counted:
    """One layer, of a stretch."""

    n_active: np.ndarray
    """By cell."""
    token: np.ndarray
    """Cells active at each position."""
    sentence: np.ndarray
    window: np.ndarray


def _counted(layer: LayerActive, stretch: Stretch, edges: np.ndarray) -> _Counted:
    n_active, token = np.zeros(layer.n_cells, dtype=np.int64), np.zeros(len(stretch), dtype=np.int64)
    sentence, window = np.zeros(len(stretch.tokens), dtype=np.int64), np.zeros(len(edges) - 1, dtype=np.int64)
    for some, active in layer.blocks():
        n_active[some] = active.sum(0, dtype=np.int64)
        token += active.sum(1, dtype=np.int64)
        sentence += in_use_by_part(active, stretch.starts).sum(1)
        if len(window):
            window += in_use_by_part(active, edges).sum(1)
    return _Counted(n_active, token, sentence, window)


def _run(study: Wild2024, listen: StageListener) -> UseResult:
    active, stretch, limits = study.active(listen, EXPERIMENT), study.stretch, study.limits
    edges = stretch.windows(study.options.window)
    _, document = np.unique(stretch.documents, return_inverse=True)
    n_documents = int(document.max()) + 1
    n_sentences = np.bincount(document, minlength=n_documents).astype(np.float64)
    shape = (n_documents, len(active))
    arrays: dict[str, np.ndarray] = {name: np.zeros(shape) for name in ("token", "sentence", "chance")}
    arrays |= {"window": np.zeros((len(edges) - 1, len(active))), "sentences": n_sentences}
    arrays["cells"] = np.array([one.n_cells for one in active], dtype=np.float64)
    arrays["positions"] = np.bincount(document, stretch.lengths, n_documents)
    layers = []
    for place, layer in enumerate(active):
        counted, n = _counted(layer, stretch, edges), layer.n_cells
        sizes, of_sentence = np.unique(stretch.lengths, return_inverse=True)
        chance = rarefied_use(counted.n_active, len(stretch), sizes)[of_sentence]
        by_sentence = np.add.reduceat(counted.token, stretch.starts[:-1])
        arrays["token"][:, place] = np.bincount(document, by_sentence / n, n_documents)
        arrays["sentence"][:, place] = np.bincount(document, counted.sentence / n, n_documents)
        arrays["chance"][:, place] = np.bincount(document, chance, n_documents)
        arrays["window"][:, place] = counted.window / n
        layers.append(_layer(study, place, layer, counted, arrays))
        listen(Stage(EXPERIMENT, place + 1, len(active)))
    study.results.save_arrays(EXPERIMENT, arrays)
    return UseResult(
        limits=limits,
        n_positions=len(stretch),
        n_sentences=len(stretch.tokens),
        n_documents=n_documents,
        n_windows=len(edges) - 1,
        window=study.options.window,
        knows_sentences=study.index.manifest.has_active_sentences,
        layers=tuple(layers),
    )


def _layer(
    study: Wild2024, place: int, layer: LayerActive, counted: _Counted, arrays: dict[str, np.ndarray]
) -> LayerUse:
    n, n_positions = layer.n_cells, len(counted.token)
    has_zeros = study.limits is None
    dead = counted.n_active == 0 if has_zeros else layer.largest_share < _UNUSED
    rare = ~dead & (counted.n_active < RARE * n_positions)
    token, sentence, window = (sums[[place]] for sums in _sums(arrays))
    return LayerUse(
        layer=study.layer_names()[place],
        n_cells=n,
        token=ratios(token)[0],
        routed=float(counted.token.sum() / np.broadcast_to(layer.n_seen, n).sum()),
        sentence=ratios(sentence)[0],
        window=ratios(window)[0],
        by_chance=float(arrays["chance"][:, place].sum() / arrays["sentences"].sum()),
        dead=proportion(int(dead.sum()), n),
        rare=proportion(int(rare.sum()), n),
        of_tokens=tuple(np.quantile(counted.token / n, _QUANTILES).tolist()),
        of_sentences=tuple(np.quantile(counted.sentence / n, _QUANTILES).tolist()),
        counted=_of_index(study, place) if has_zeros and not study.is_control else None,
    )


def _of_index(study: Wild2024, place: int) -> CountedUse:
    arrays, manifest = study.index.layer(place), study.index.manifest
    in_sentences = arrays.n_active_sentences if manifest.has_active_sentences else None
    competing = Tokens.of(study.index).n_competing.copy()
    for first, end in manifest.excluded_ranges:
        competing[first:end] = 0
    n_positions = int(competing.sum())
    return counted_use(arrays.n_active, in_sentences, arrays.counts, n_positions, PAPER_WINDOW)


def _sums(arrays: dict[str, np.ndarray]) -> tuple[Sums, Sums, Sums]:
    """Of tokens and of sentences, documents being drawn; and of windows, which are drawn themselves. A column a layer."""
    shape = arrays["token"].shape
    positions, sentences = (np.broadcast_to(arrays[name][:, None], shape) for name in ("positions", "sentences"))
    return (
        Sums(arrays["token"], positions),
        Sums(arrays["sentence"], sentences),
        # of cells, so that windows which all use nearly every cell are not taken for a few that might have used none
        Sums(arrays["window"] * arrays["cells"], np.ones_like(arrays["window"]) * arrays["cells"]),
    )


def found_use(findings: Findings) -> UseResult:
    """What came of it."""
    return findings.get(EXPERIMENT, UseResult)


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def told_rule(findings: Findings) -> Iterator[str]:
    """What counts as active, in words."""
    if not _applies(findings):
        return
    limits = found_use(findings).limits
    if limits is None:
        yield "a coefficient above 0"
    elif limits.loss != limits.loss:
        yield f"a contribution |m||v| above the limit of its layer, below which lies {share(limits.dropped)} of the energy"
    else:
        yield (
            f"a contribution |m||v| above the limit of its layer: put to 0 below it, {share(limits.dropped)} of the energy "
            f"goes, and the perplexity rises by {share(max(limits.more_perplexity, 0.0))}"
        )


@dataclass(frozen=True)
class _Depth:
    """The first layer and the last."""

    token: tuple[Uncertain, Uncertain]
    window: tuple[Uncertain, Uncertain]
    token_less: Uncertain
    """The first less the last."""
    window_more: Uncertain
    """The last less the first."""
    kept: Uncertain
    """By how much less a sentence uses than positions drawn from the whole text, mean of all layers."""


def _depth(findings: Findings) -> _Depth:
    arrays = arrays_of(findings, EXPERIMENT)
    token, sentence, window = _sums(arrays)
    first, last = [0], [token.above.shape[1] - 1]
    return _Depth(
        token=(mean_ratio(token[first]), mean_ratio(token[last])),
        window=(mean_ratio(window[first]), mean_ratio(window[last])),
        token_less=mean_ratio(token[first], token[last]),
        window_more=mean_ratio(window[last], window[first]),
        kept=mean_ratio(Sums(arrays["chance"] - sentence.above, sentence.below).differences),
    )


def _reading(findings: Findings) -> str:
    layers = found_use(findings).layers
    first, last = layers[0], layers[-1]
    most = max(layers, key=lambda one: one.token.value)
    window = found_use(findings).window
    return (
        f"A token uses {share(first.token.value)} of the cells of {first.layer} and {share(last.token.value)} of those of "
        f"{last.layer} (most: {share(most.token.value)}, {most.layer}); a sentence {share(first.sentence.value)} and "
        f"{share(last.sentence.value)}; a window of {window:,} positions {share(first.window.value)} and "
        f"{share(last.window.value)}."
    )


def _sample(findings: Findings) -> str:
    found = found_use(findings)
    return (
        f"{found.n_positions:,} positions of {found.n_sentences:,} sentences of {found.n_documents:,} indexed documents, whole "
        f"and in order; {found.n_windows} windows of whole sentences, at least {found.window:,} positions each"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found, depth = found_use(findings), _depth(findings)
    same = found.window == PAPER_WINDOW
    for place, layer, paper in ((0, found.layers[0], "13.3"), (1, found.layers[-1], "95.6")):
        which = ("first", "last")[place]
        yield Number.of(f"cells used by a token, {which} layer", "-", depth.token[place].estimate)
        yield Number.of(f"cells used by a sentence, {which} layer", "-", layer.sentence)
        window = f"cells used in {found.window:,} positions, {which} layer"
        yield Number.of(window, paper if same else "-", depth.window[place].estimate)
        if layer.counted is not None:
            told = f"the same of {PAPER_WINDOW:,} positions drawn from all of the index, {which} layer"
            yield Number(told, paper, layer.counted.window)
    token = float(np.mean([one.token.value for one in found.layers]))
    yield Number("cells used by a token, mean of all layers", "3.0 (T5-Base), 6.3 (ViT-B/16)", token)
    yield Number.of("a sentence uses so much less than its positions drawn from all text", "-", depth.kept.estimate)
    if found.limits is not None and found.limits.loss == found.limits.loss:
        yield Number("contributions that can be put to 0 for 1 % of the perplexity", "-", 1 - token)


def _claims(findings: Findings) -> Iterator[Claim]:
    found, depth = found_use(findings), _depth(findings)
    names = f"{found.layers[0].layer} and {found.layers[-1].layer}"
    if len(found.layers) < 2:
        return
    yield Claim(
        "depth turns about: at a token the first layer uses more of its cells than the last, in a window fewer",
        every(above(depth.token_less), above(depth.window_more)),
        f"{names}: at a token {interval(depth.token[0].estimate)} and {interval(depth.token[1].estimate)}, in a window "
        f"{interval(depth.window[0].estimate)} and {interval(depth.window[1].estimate)}; first less last at a token "
        f"{points(depth.token_less)}, last less first in a window {points(depth.window_more)}",
    )
    yield Claim(
        "a sentence comes back to its own cells: it uses fewer than as many positions of any text do",
        above(depth.kept),
        f"fewer, mean of all layers: {points(depth.kept)} of the cells",
    )


_SERIES = {
    "a token": lambda layer: layer.token,
    "a sentence": lambda layer: layer.sentence,
    "a window": lambda layer: layer.window,
    "never (dead)": lambda layer: layer.dead,
}


def _charts(findings: Findings) -> Iterator[Chart]:
    found = found_use(findings)
    caption = (
        f"Cells that are used by a token, a sentence, a window of {found.window:,} positions, and by none of the text."
    )
    yield Chart("use", caption, "lines", line_rows(found.layers, _SERIES), "cells of the layer", order=tuple(_SERIES))
    for name, control in findings.controls.items():
        if _applies(control):
            rows = line_rows(found_use(control).layers, _SERIES)
            told = f"The same of the {name} model."
            yield Chart(f"use-{name}", told, "lines", rows, "cells of the layer", order=tuple(_SERIES), beside="use")


def _tables(findings: Findings) -> Iterator[Table]:
    rows, layers = [], found_use(findings).layers
    has_experts = any(abs(one.routed - one.token.value) > 1e-9 for one in layers)  # equal but for rounding elsewhere
    for one in layers:
        row = {"layer": one.layer, "cells": one.n_cells, "token %": _percent(one.token.value)}
        if has_experts:
            row["token %, where routed"] = _percent(one.routed)
        row |= {f"token %, quantile {q:g}": _percent(v) for q, v in zip(_QUANTILES, one.of_tokens, strict=True)}
        row |= {"sentence %": _percent(one.sentence.value)}
        row |= {f"sentence %, quantile {q:g}": _percent(v) for q, v in zip(_QUANTILES, one.of_sentences, strict=True)}
        row |= {"sentence by chance %": _percent(one.by_chance), "window %": _percent(one.window.value)}
        row |= {"dead here %": _percent(one.dead.value), "rare here %": _percent(one.rare.value)}
        if one.counted is not None:
            counted = one.counted
            row |= {"index: token %": _percent(counted.token), "index: sentence %": _percent(counted.sentence)}
            row |= {f"index: {PAPER_WINDOW:,} drawn %": _percent(counted.window), "index: dead": counted.dead}
            row |= {"index: rare": counted.rare}
        rows.append(row)
    yield Table("use-by-layer", "Use by layer, of this text and of the whole index", tuple(rows[0]), rows, folded=True)


def _percent(value: float) -> float | None:
    return round(100 * value, 2) if value == value else None


def _notes(findings: Findings) -> Iterator[str]:
    found = found_use(findings)
    if found.n_windows < 2:
        yield (
            f"There are not two windows of {found.window:,} positions in this text: read more with --positions, or make them "
            "shorter with --window."
        )
    if not found.knows_sentences and found.limits is None:
        yield (
            "This index was built before sentences were counted in which a cell is active, so that its table has no column for "
            "them; what a sentence uses above was measured anew. To have it of all the text, build the index again."
        )


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment(EXPERIMENT, UseResult, _run)],
    results={EXPERIMENT: UseResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Use by layer",
            title="How many cells a token, a sentence and a window use",
            question="How many of its cells does each layer use, and does depth turn that about?",
            definition=f"""
A cell is active where its coefficient is above 0. In models without a ReLU it is active where its contribution |m||v| is
above the limit of its layer: the largest limits that cost at most 1 % of the perplexity, if as large a share of each layer's
energy (m squared times |v| squared) lies below them and all layers are cut at once. Used by a token: the share of cells that
are active at a position; by a sentence, by a window: the share that is active somewhere in it. Windows are whole sentences of
whole documents, one after the other. Dead: active nowhere in this text (without a ReLU: below {_UNUSED:g} of the energy of
every position). By chance: the share that so many positions use, drawn at random from all of the text, which is exact: mean
of 1 - C(N - n, T) / C(N, T) over cells that are active at n of N positions.""",
            conclude="""
How many cells are in use is not how many are needed: no saving of time follows, and a cell that is rarely active may be the
one that matters there. Sentences of some twenty tokens are not the papers' sequences. Dead means on this text, never dead for
good: longer text uses more.""",
            applies=_applies,
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

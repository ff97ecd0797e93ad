"""Do patterns predict which unseen prefixes fire a cell? Each is scored on held-out text."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int64
from torch import Tensor

from ffmem.analyses.indexed import check_model
from ffmem.analyses.intervals import Estimate, mean
from ffmem.analyses.meaning.draws import document_weights, estimate, quotient
from ffmem.analyses.patterns.kinds import Features, Kind
from ffmem.analyses.patterns.lexical import Shapes
from ffmem.analyses.patterns.results import FIRING, Found, KindScore, Patterns, Score, Scores
from ffmem.analyses.patterns.tokens import Tokens, ragged
from ffmem.analyses.prefixes import Prefixes, held_out_prefixes, passes, rows_of
from ffmem.models.transformer import Transformer
from ffmem.options import Bos
from ffmem.store.reader import Index

_PAIRS_AT_A_TIME = 2**22
"""Pairs of patterns and prefixes that are looked at together."""
_CELLS_AT_A_TIME = 256
_LARGEST = float(torch.finfo(torch.float16).max)


def score_patterns(
    index: Index,
    model: Transformer,
    patterns: Patterns,
    *,
    n_prefixes: int = 5_000,
    n_units: int | None = None,
    seed: int = 0,
    on_layer: Callable[[int], None] = lambda _: None,
) -> Scores:
    """Ask of each pattern, as a test of prefixes, whether held-out prefixes that pass it fire the cell.

    Args:
        index: the index of the patterns; with held-out text.
        model: its model.
        patterns: what `measure_patterns` gave.
        n_prefixes: random held-out prefixes, at most; see `held_out_prefixes`.
        n_units: score the patterns of so many random units of each layer; by default of all.
        seed: of prefixes, units and bootstraps.
        on_layer: called with each layer's place when its patterns have been scored.

    Raises:
        InputError: the model is another one, or the index holds no held-out text, or not all cells of the model.

    Cost: one pass over the held-out sentences; memory of 2 bytes for each prefix and scored cell.
    """
    check_model(index, model)
    index.check_whole("the scoring of patterns")
    options = index.manifest.options
    prefixes = held_out_prefixes(index, n_prefixes, seed=seed)
    tokens = Tokens.of(index)
    sentences = prefixes.sentence_ids[prefixes.sentence]
    features = Features(tokens, Shapes.of_vocabulary(index.text.vocabulary), patterns.meaning)
    ends = tokens.start[sentences] + prefixes.position
    having = {kind: _positions_by_value(features, kind, ends) for kind in features.kinds}
    wanted = [_wanted(layer.n_cells * index.n_signs, n_units, seed, i) for i, layer in enumerate(index.cells.layers)]
    cells = [np.unique(np.flatnonzero(one) // index.n_signs) for one in wanted]
    names, document = np.unique(index.text.document_of(sentences), return_inverse=True)
    scores, layers = [], []
    for place, coefficients in enumerate(coefficients_at(model, prefixes, options.bos, cells)):
        found = patterns.found[place]
        by_value = [having[one.kind] for one in found]
        hits = [np.zeros((2, len(names))) for _ in found]
        scores.append(
            _score_layer(coefficients, cells[place], index.n_signs, found, by_value, wanted[place], document, hits)
        )
        name = index.cells.layers[place].name
        layers.append(
            tuple(
                _over_units(name, one, of, by_document, seed)
                for one, of, by_document in zip(found, scores[-1], hits, strict=True)
            )
        )
        on_layer(place)
    return Scores(len(prefixes), tuple(scores), tuple(layers))


def _wanted(n_all: int, n_units: int | None, seed: int, place: int) -> Bool[np.ndarray, "units"]:
    """Which units of a layer are scored."""
    wanted = np.zeros(n_all, dtype=bool)
    wanted[np.random.default_rng([seed, place]).permutation(n_all)[:n_units]] = True
    return wanted


def coefficients_at(model: Transformer, prefixes: Prefixes, bos: Bos, cells: Sequence[np.ndarray]) -> list[np.ndarray]:
    """(prefixes, some cells) coefficients of each layer, as float16 (the largest finite one for those beyond)."""
    found = [np.zeros((len(prefixes), len(some)), dtype=np.float16) for some in cells]
    kept = [torch.from_numpy(some) for some in cells]
    device = next(model.module.parameters()).device
    with torch.inference_mode():
        for one in passes(model, prefixes.sentences, bos, device=str(device)):
            some, rows, columns = rows_of(prefixes, one)

            def keep(
                place: int,
                m: Float[Tensor, "batch positions cells"],
                some: np.ndarray = some,
                rows: Tensor = rows,
                columns: Tensor = columns,
            ) -> None:
                at = m[rows.to(m.device), columns.to(m.device)][:, kept[place].to(m.device)]
                at = at.float().clamp(-_LARGEST, _LARGEST)
                found[place][some] = at.half().cpu().numpy()

            with model.watch_coefficients(keep):
                model.forward(one.token_ids, one.attention_mask)
    return found


@dataclass(frozen=True)
class _ByValue:
    """Which prefixes have each value of a kind."""

    values: np.ndarray
    """Ascending."""
    first: np.ndarray
    """Where the prefixes of each value begin, and one entry more."""
    prefixes: np.ndarray

    def lookup(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where the prefixes of some values begin, and how many there are."""
        if not len(self.values):
            return np.zeros((2, len(values)), dtype=np.int64)[0], np.zeros(len(values), dtype=np.int64)
        at = np.minimum(np.searchsorted(self.values, values), len(self.values) - 1)
        return self.first[at], np.where(self.values[at] == values, np.diff(self.first)[at], 0)


def _positions_by_value(features: Features, kind: Kind, ends: Int64[np.ndarray, "n"]) -> _ByValue:
    having = features.of(kind, ends)
    order = np.lexsort((having.prefix, having.value))
    value, prefix = having.value[order], having.prefix[order]
    once = np.ones(len(order), dtype=bool)
    once[1:] = (value[1:] != value[:-1]) | (prefix[1:] != prefix[:-1])
    values, first = np.unique(value[once], return_index=True)
    return _ByValue(values, np.append(first, once.sum()), prefix[once])


def _score_layer(
    coefficients: np.ndarray,
    cells: Int64[np.ndarray, "some"],
    n_signs: int,
    found: Sequence[Found],
    having: Sequence[_ByValue],
    wanted: Bool[np.ndarray, "units"],
    document: Int64[np.ndarray, "prefixes"],
    hits: Sequence[np.ndarray],
) -> tuple[Score, ...]:
    """Scores of the accepted patterns of wanted units, whose cells are those of the coefficients' columns; some at a time.

    To ``hits`` (two x documents, for each kind) are added: how often a prefix with a pattern's value fires the unit, and how
    often it would if it fired as often as any.
    """
    scores = []
    for one in found:
        auc, precision, recall = np.full((3, len(one.unit)), np.nan)
        scores.append(Score(auc, precision, recall, np.full(len(one.unit), -1, dtype=np.int64)))
    for first in range(0, coefficients.shape[1], _CELLS_AT_A_TIME):
        m = np.ascontiguousarray(coefficients[:, first : first + _CELLS_AT_A_TIME].T.astype(np.float32))
        of_columns = cells[first : first + len(m)]
        low, high = of_columns[0] * n_signs, (of_columns[-1] + 1) * n_signs
        ranks, fires = ranks_and_firing(m, n_signs)
        for one, by_value, score, by_document in zip(found, having, scores, hits, strict=True):
            rows = np.arange(*np.searchsorted(one.unit, [low, high]))
            rows = rows[one.accepted[rows] & wanted[one.unit[rows]]]
            begin, n = by_value.lookup(one.value[rows])
            score.n_matching[rows] = n
            for some in _portions(n):
                cell, sign = np.divmod(one.unit[rows[some]], n_signs)
                own = np.searchsorted(of_columns, cell) * n_signs + sign
                columns = _predict(ranks, fires, own, by_value.prefixes, begin[some], n[some])
                _add_hits(fires, own, by_value.prefixes[ragged(begin[some], n[some])], n[some], document, by_document)
                score.auc[rows[some]], score.precision[rows[some]], score.recall[rows[some]] = columns
    return tuple(scores)


def ranks_and_firing(
    m: Float32[np.ndarray, "cells n"], n_signs: int
) -> tuple[Float32[np.ndarray, "units n"], Bool[np.ndarray, "units n"]]:
    """Of each unit: the rank of each prefix by coefficient times sign, and where it fires.

    Args:
        m: coefficients.
        n_signs: 2 for gated cells, whose units are (cell, positive), (cell, negative).

    Returns:
        ranks, 1 for the smallest, of equals their mean; and whether the prefix is among the share `FIRING` of the largest.
    """
    order = np.argsort(m, axis=1)
    ordered = np.take_along_axis(m, order, 1)
    n = m.shape[1]
    places = np.broadcast_to(np.arange(n, dtype=np.int32), m.shape)
    begins = np.ones(m.shape, dtype=bool)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    ends = np.roll(begins, -1, axis=1)  # the last one ends, as the first one begins
    first = np.maximum.accumulate(np.where(begins, places, 0), axis=1)
    last = np.minimum.accumulate(np.where(ends, places, n)[:, ::-1], axis=1)[:, ::-1]
    ranks = np.empty_like(m)
    np.put_along_axis(ranks, order, ((first + last) / 2 + 1).astype(np.float32), 1)
    k = max(1, int(FIRING * n))
    fires = (m > 0) & (m >= ordered[:, n - k, None])
    if n_signs == 1:
        return ranks, fires
    fires_below = (m < 0) & (m <= ordered[:, k - 1, None])
    both = (np.stack([ranks, n + 1 - ranks], 1), np.stack([fires, fires_below], 1))
    return both[0].reshape(-1, n), both[1].reshape(-1, n)


def _portions(n: np.ndarray) -> list[np.ndarray]:
    """Patterns whose matching prefixes are looked at together; those without any are in none."""
    some = np.flatnonzero(n)
    parts = (n[some].cumsum() - 1) // _PAIRS_AT_A_TIME
    return [some[parts == part] for part in np.unique(parts)]


def _predict(
    ranks: np.ndarray, fires: np.ndarray, unit: np.ndarray, prefixes: np.ndarray, begin: np.ndarray, n: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """AUC (Mann & Whitney 1947, by ranks), precision and recall of patterns, each of which n > 0 prefixes have."""
    n_prefixes = ranks.shape[1]
    places = np.repeat(unit * n_prefixes, n) + prefixes[ragged(begin, n)]
    bounds = n.cumsum() - n
    rank_sum = np.add.reduceat(ranks.reshape(-1)[places].astype(np.float64), bounds)
    hits = np.add.reduceat(fires.reshape(-1)[places].astype(np.float64), bounds)
    pairs, n_firing = n * (n_prefixes - n), fires.sum(1)[unit]
    auc = np.where(pairs > 0, (rank_sum - n * (n + 1) / 2) / np.maximum(pairs, 1), np.nan)
    recall = np.where(n_firing > 0, hits / np.maximum(n_firing, 1), np.nan)
    return auc, hits / n, recall


def _add_hits(
    fires: np.ndarray, unit: np.ndarray, prefixes: np.ndarray, n: np.ndarray, document: np.ndarray, found: np.ndarray
) -> None:
    units = np.repeat(unit, n)
    rate = fires.mean(1, dtype=np.float64)
    for row, values in enumerate((fires[units, prefixes].astype(np.float64), rate[units])):
        found[row] += np.bincount(document[prefixes], values, minlength=found.shape[1])


def _lift(hits: np.ndarray, seed: int) -> Estimate:
    """Hits over those expected, of all documents together."""
    weights = document_weights(hits.shape[1], np.random.default_rng([seed, 18]))
    fired, expected = weights @ hits[0], weights @ hits[1]
    return estimate(quotient(fired, expected), hits.shape[1])


def _over_units(layer: str, found: Found, score: Score, hits: np.ndarray, seed: int) -> KindScore:
    scored = score.n_matching >= 0

    def over(values: np.ndarray) -> tuple[Estimate, float]:
        some = np.flatnonzero(~np.isnan(values))
        return mean(values[some], found.unit[some], seed=seed), float(np.median(values[some])) if len(some) else np.nan

    return KindScore(
        layer, found.kind, int(scored.sum()), int((score.n_matching == 0).sum()),
        *over(score.auc), *over(score.precision), *over(score.recall), _lift(hits, seed),
    )  # fmt: skip

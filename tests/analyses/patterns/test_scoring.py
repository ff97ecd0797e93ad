"""Scores on held-out text against loops over all pairs of prefixes."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.results import Scores
from ffmem.analyses.patterns.scoring import coefficients_at, ranks_and_firing, score_patterns
from ffmem.analyses.prefixes import Prefixes, held_out_prefixes
from ffmem.models.transformer import Transformer
from tests.analyses.patterns.slow import prefixes_of, values
from tests.analyses.patterns.test_measure import value_of


def slow_coefficients(model: Transformer, prefixes: Prefixes) -> list[np.ndarray]:
    """One forward pass for each sentence, alone."""
    layers: list[list[np.ndarray]] = [[] for _ in range(model.facts.n_layers)]
    before, after = model.special_tokens("auto")
    for number in range(len(prefixes)):
        ids = torch.tensor([[*before, *prefixes.sentences[prefixes.sentence[number]].tolist(), *after]])
        at = len(before) + int(prefixes.position[number])
        with (
            torch.no_grad(),
            model.watch_coefficients(lambda place, m, at=at: layers[place].append(m[0, at].numpy().copy())),
        ):
            model.forward(ids, None if model.facts.causal else torch.ones_like(ids))
    return [np.stack(layer) for layer in layers]


def slow_score(m: np.ndarray, matches: np.ndarray) -> tuple[float, float, float]:
    """AUC over all pairs, precision, recall; ``m`` is turned so that large ones fire."""
    if not matches.any():
        return np.nan, np.nan, np.nan
    pairs = [(a > b) + (a == b) / 2 for a in m[matches] for b in m[~matches]]
    threshold = np.sort(m)[-max(1, int(0.01 * len(m)))]
    fires = (m >= threshold) & (m > 0)
    hits = (fires & matches).sum()
    return np.mean(pairs) if pairs else np.nan, hits / matches.sum(), hits / fires.sum() if fires.any() else np.nan


@pytest.mark.parametrize("family", ["opt", "llama", "bert", "mixtral"])
def test_equals_loops_over_pairs(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of(family), ffmem.load_model(tiny_folder(family))
    patterns = measure_patterns(index, semantic="none")
    seen: list[int] = []
    found = score_patterns(index, model, patterns, n_prefixes=150, n_units=30, seed=3, on_layer=seen.append)
    assert seen == list(range(index.n_layers)) and found.n_prefixes == 150
    prefixes = held_out_prefixes(index, 150, seed=3)
    texts = [
        prefixes_of(index, int(prefixes.sentence_ids[s]))[p]
        for s, p in zip(prefixes.sentence, prefixes.position, strict=True)
    ]
    every = [np.arange(layer.n_cells) for layer in index.cells.layers]
    coefficients = coefficients_at(model, prefixes, "auto", every)
    for got, slow in zip(coefficients, slow_coefficients(model, prefixes), strict=True):
        assert got.dtype == np.float16 and np.abs(got - slow).max() < 1e-3 * np.abs(slow).max()
    n_checked = 0
    for place in range(index.n_layers):
        units = set()
        for one, score, over in zip(patterns.found[place], found.scores[place], found.layers[place], strict=True):
            scored = np.flatnonzero(score.n_matching >= 0)
            assert one.accepted[scored].all()
            units |= set(one.unit[scored].tolist())
            for row in scored.tolist():
                value = value_of(index, one, row)
                matches = np.array([value in values(one.kind, text) for text in texts])
                cell, axis = divmod(int(one.unit[row]), index.n_signs)
                m = coefficients[place][:, cell].astype(np.float64) * (-1 if axis else 1)
                expected = slow_score(m, matches)
                assert (one.kind, value, score.n_matching[row]) == (one.kind, value, matches.sum())
                assert (score.auc[row], score.precision[row], score.recall[row]) == pytest.approx(expected, nan_ok=True)
                n_checked += 1
            auc = score.auc[~np.isnan(score.auc)]
            assert over.n_patterns == len(scored) and over.n_unmatched == (score.n_matching[scored] == 0).sum()
            assert over.auc.n == len(auc) and over.auc.value == pytest.approx(
                auc.mean() if len(auc) else np.nan, nan_ok=True
            )
            assert over.auc_median == pytest.approx(np.median(auc) if len(auc) else np.nan, nan_ok=True)
        assert 0 < len(units) <= 30
    assert n_checked > 20
    assert_in_words(index, patterns, found)


def assert_in_words(index: Index, patterns, found: Scores) -> None:
    every = [one for place in range(index.n_layers) for one in patterns.accepted(index, place, scores=found)]
    n = sum(int((~np.isnan(score.auc)).sum()) for layer in found.scores for score in layer)
    assert n == sum(one.auc is not None for one in every) < len(every)


def test_all_units_are_scored_by_default(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    patterns = measure_patterns(index, semantic="none")
    found = score_patterns(index, model, patterns, n_prefixes=60)
    for by_kind, scores in zip(patterns.found, found.scores, strict=True):
        for one, score in zip(by_kind, scores, strict=True):
            assert ((score.n_matching >= 0) == one.accepted).all()


def test_ties_and_signs() -> None:
    m = np.array([[0.0, 2.0, -1.0, 0.0, 2.0, 0.0]], dtype=np.float32)
    ranks, fires = ranks_and_firing(m, 2)
    assert ranks.tolist() == [[3, 5.5, 1, 3, 5.5, 3], [4, 1.5, 6, 4, 1.5, 4]]
    assert fires.tolist() == [[False, True, False, False, True, False], [False, False, True, False, False, False]]
    assert not ranks_and_firing(-np.abs(m), 1)[1].any()  # nothing above 0 fires


def test_patterns_predict_and_those_of_other_cells_do_not(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    """A random first layer sees little but the token and its position; values that are given to other cells tell nothing."""
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    patterns = measure_patterns(index, semantic="none")
    found = score_patterns(index, model, patterns)
    by_kind = {one.kind: one for one in found.layers[0]}
    assert by_kind["token"].auc.low > 0.7
    assert by_kind["token"].precision.value > 0.1
    shuffled = measure_patterns(index, semantic="none")
    other = shuffled.found[0][0]
    rng = np.random.default_rng(0)
    other.value[:] = rng.permutation(other.value)
    by_chance = {one.kind: one for one in score_patterns(index, model, shuffled).layers[0]}["token"]
    assert by_chance.auc.low < 0.5 < by_chance.auc.high


def test_another_model(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index = index_of("gpt2")
    with pytest.raises(InputError, match="has other weights"):
        score_patterns(index, ffmem.load_model(tiny_folder("opt")), measure_patterns(index, semantic="none"))

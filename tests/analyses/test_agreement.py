"""Agreement of values with what follows their triggers: against plain loops, and on a model that is built to agree."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index
from ffmem.analyses.agreement import AT, measure_agreement
from ffmem.analyses.values import first_of_largest, rank_of, score_values, targets, unigram_counts
from ffmem.cell import Trigger
from ffmem.models.transformer import Transformer


def load(tiny_folder: Callable[[str], Path], family: str) -> Transformer:
    return ffmem.load_model(tiny_folder(family))


def token_after(index: Index, trigger: Trigger, offset: int) -> int:
    return int(index.text.sentence(trigger.sentence_id).token_ids[trigger.position + offset])


def distribution(
    model: Transformer, place: int, row: int, sign: int, length: float | None = None, projection: str | None = None
) -> torch.Tensor:
    """p of one value, by softmax itself."""
    value = model.value_rows(place)[row].double()
    if length is not None:
        value = value / value.norm() * length
    if "adaptive" in model.facts.projections:
        return model.project(value.float(), "adaptive").double().exp()
    if projection == "final-norm":
        return model.project((sign * value).float(), projection).double().softmax(-1)
    projection = "folded" if "folded" in model.facts.projections else "raw"
    return (sign * model.projection_matrix(projection).double() @ value).softmax(-1)


FAMILIES = [
    ("llama", "folded"),
    ("opt", "folded"),
    ("llama", "final-norm"),
    ("opt", "final-norm"),
    ("wikilm", "adaptive"),
]


@pytest.mark.parametrize(("family", "projection"), FAMILIES)
def test_equals_a_loop_over_cells(
    family: str, projection: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = index_of(family), load(tiny_folder, family)
    found, _, _ = measure_agreement(index, model, projection)
    counts = unigram_counts(index)
    for place, layer in enumerate(found.layers):
        units = []
        for row in range(index.cells.layers[place].n_cells):
            cell = index.cell(index.cells.cell_id(place, row))
            for sign in (1, -1)[: index.n_signs]:
                triggers = [one for one in cell.triggers if one.sign == sign]
                with_next = [one for one in triggers if one.next_token is not None]
                units.append((row, sign, triggers, with_next))
        some = [unit for unit in units if unit[3]]
        assert layer.n_units == len(units) and layer.n_without_trigger == sum(not unit[2] for unit in units)
        assert layer.n_without_next == sum(bool(unit[2]) and not unit[3] for unit in units)
        best = [
            None if not unit[2] or unit[2][0].next_token is None else token_after(index, unit[2][0], 1)
            for unit in units
        ]
        assert layer.n_passed_over == sum(bool(unit[2]) and w is None for unit, w in zip(units, best, strict=True))
        every_p = [distribution(model, place, row, sign, projection=projection).numpy() for row, sign, *_ in units]
        every_top = [int(one.argmax()) for one in every_p]
        p = [one for one, unit in zip(every_p, units, strict=True) if unit[3]]
        w = [token_after(index, unit[3][0], 1) for unit in some]
        top = [int(one.argmax()) for one in p]
        ranks = np.array([(one > one[token] * (1 + 1e-6)).sum() for one, token in zip(p, w, strict=True)])
        # as the paper counts: all cells, and the best trigger or none
        assert layer.agreement.value == pytest.approx(np.mean([a == b for a, b in zip(every_top, best, strict=True)]))
        assert layer.agreement_next_best.value == pytest.approx(np.mean([a == b for a, b in zip(top, w, strict=True)]))
        firing = [token_after(index, unit[2][0], 0) if unit[2] else None for unit in units]
        assert layer.agreement_firing.value == pytest.approx(
            np.mean([a == b for a, b in zip(every_top, firing, strict=True)])
        )
        assert [one.value for one in layer.at] == pytest.approx([(ranks < k).mean() for k in AT])
        assert layer.reciprocal_rank.value == pytest.approx((1 / (1.0 + ranks)).mean())
        assert layer.rank_quantiles[2] == np.median(ranks)
        q = (counts + 0.5) / (counts + 0.5).sum()
        lift = np.mean([math.log(one[token]) - math.log(q[token]) for one, token in zip(p, w, strict=True)])
        assert layer.lift.value == pytest.approx(lift, abs=1e-4)
        has_next = np.array([one is not None for one in best])
        assert layer.unigram == pytest.approx((q[every_top] * has_next).mean()) and layer.uniform == 1 / len(counts)
        assert layer.shuffled.value == pytest.approx(np.mean([[a == b for b in best] for a in every_top]))
        assert layer.at[0] == layer.agreement_next_best  # rank 0 is agreement


def test_bins_hold_every_unit_once(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, model = index_of("llama"), load(tiny_folder, "llama")
    found, _, _ = measure_agreement(index, model, "folded")
    n = sum(layer.agreement.n for layer in found.layers)
    n_agree = sum(layer.agreement.value * layer.agreement.n for layer in found.layers)
    for bins in (found.by_probability, found.by_unit_probability):
        assert sum(one.agreement.n for one in bins) == n
        assert sum(one.agreement.value * one.agreement.n for one in bins) == pytest.approx(n_agree)
        assert all(one.low < one.high for one in bins)
    best = max(
        float(distribution(model, place, row, sign).max())
        for place, layer in enumerate(index.cells.layers)
        for row in range(layer.n_cells)
        for sign in (1, -1)
    )
    assert found.strongest[0].probability == pytest.approx(best, rel=1e-5)
    for one in found.strongest[:20]:
        place, row = index.cells.place(one.cell)
        p = distribution(model, place, row, one.sign)
        assert int(p.argmax()) == one.top_token and one.probability == pytest.approx(float(p.max()), rel=1e-5)
        triggers = [t for t in index.cell(one.cell).triggers if t.sign == one.sign]
        matches = [t for t in triggers if t.next_token is not None and token_after(index, t, 1) == one.top_token]
        assert (one.n_matches, one.n_triggers) == (len(matches), len(triggers))


@pytest.mark.parametrize("family", ["llama", "wikilm"])
def test_lengths_have_no_part_in_the_unit_probability(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    """Scale moved from values to keys leaves a model as it is: so must what is said of it, but for Figure 6 as printed."""
    index, model = index_of(family), load(tiny_folder, family)
    projection = "adaptive" if family == "wikilm" else "folded"
    wanted = targets(index, 0)
    before = score_values(model, 0, projection, wanted, 2.0)
    for row in (0, 5):
        expected = distribution(model, 0, row, 1, 2.0).max()
        assert math.exp(before.unit_log_probability[row, 0]) == pytest.approx(float(expected), rel=1e-4)
    with torch.no_grad():
        model.values(0).mul_(3.0)
    after = score_values(model, 0, projection, wanted, 2.0)
    assert np.allclose(after.unit_log_probability, before.unit_log_probability, atol=1e-5)
    assert (after.top_log_probability > before.top_log_probability + 1e-3).mean() > 0.9
    if projection == "folded":  # linear: ranks do not depend on lengths
        assert (after.top == before.top).all() and (after.following_rank == before.following_rank).all()


def test_blocks_do_not_matter(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("llama"), load(tiny_folder, "llama")
    whole, _, _ = measure_agreement(index, model, "folded")
    monkeypatch.setattr("ffmem.analyses.values._BLOCK", 3 * model.facts.d_vocab)
    parts, _, _ = measure_agreement(index, model, "folded")
    assert [one.agreement for one in parts.layers] == [one.agreement for one in whole.layers]
    assert [one.rank_quantiles for one in parts.layers] == [one.rank_quantiles for one in whole.layers]


def test_equal_scores_are_ranked_by_id() -> None:
    scores = torch.tensor([[1.0, 3.0, 3.0, 0.0], [2.0, 2.0, 2.0, 2.0], [0.0, 1.0, 2.0, 3.0]])
    top, best = first_of_largest(scores)
    assert top.tolist() == [1, 0, 3] and best.tolist() == [3, 2, 3]
    assert [rank_of(scores, torch.full((3,), i)).tolist() for i in range(4)] == [
        [2, 0, 3],
        [0, 1, 2],
        [1, 2, 1],
        [3, 3, 0],
    ]
    random = torch.randint(0, 4, (50, 9), generator=torch.Generator().manual_seed(0)).float()
    for i in range(9):
        order = [sorted(range(9), key=lambda j, row=row: (-float(row[j]), j)).index(i) for row in random]
        assert rank_of(random, torch.full((50,), i)).tolist() == order


def test_frequencies_are_those_of_following_tokens(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    sentences = [index.text.sentence(i).token_ids.tolist() for i in range(index.text.n_sentences)]
    expected = Counter(token for ids in sentences for token in ids[1:])
    counts = unigram_counts(index)
    assert {i: int(n) for i, n in enumerate(counts) if n} == expected


@pytest.mark.parametrize(("family", "projection"), FAMILIES)
def test_without_training_agreement_is_chance(
    family: str, projection: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    """Over all layers of a random model, as often as the tokens of other cells agree: within what a count can vary by."""
    found, _, _ = measure_agreement(index_of(family), load(tiny_folder, family), projection)
    n = sum(layer.agreement.n for layer in found.layers)
    hits = sum(layer.agreement.value * layer.agreement.n for layer in found.layers)
    expected = sum(layer.shuffled.value * layer.agreement.n for layer in found.layers)
    assert n > 100 and abs(hits - expected) < 4 * math.sqrt(max(expected, 1))

"""Near cells, against their definitions."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

import ffmem
from ffmem import Cell, Index, InputError
from ffmem.models.attached import attach_indexed
from ffmem.queries import similar
from ffmem.queries.overlap import rank_biased_overlap
from tests.families import D_MODEL
from tests.queries.loops import every_cell

FAMILIES = ("gpt2", "llama")


@pytest.mark.parametrize("family", FAMILIES)
def test_similar_by_triggers_is_weighted_jaccard(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)

    def weights(cell: Cell) -> dict[int, float]:
        largest = max((abs(one.coefficient) for one in cell.triggers), default=1.0)
        found: dict[int, float] = {}
        for one in cell.triggers:
            found[one.sentence_id] = max(found.get(one.sentence_id, 0), abs(one.coefficient) / largest)
        return found

    own = weights(index["L1.5"])
    expected = {}
    for cell in every_cell(index):
        theirs = weights(cell)
        union = set(own) | set(theirs)
        low, high = (sum(f(own.get(s, 0), theirs.get(s, 0)) for s in union) for f in (min, max))
        if low and str(cell.cell) != "L1.5":
            expected[str(cell.cell)] = low / high
    rows = similar(index, "L1.5", limit=10_000).rows
    assert {str(row.cell): row.similarity for row in rows} == pytest.approx(expected) and len(expected) > 5
    assert [row.similarity for row in rows] == sorted((row.similarity for row in rows), reverse=True)


@pytest.mark.parametrize("family", FAMILIES)
def test_similar_by_promoted_tokens_is_rank_biased_overlap(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    own = np.array([[one.token_id for one in index["L2.7"].promoted]])
    expected = {}
    for cell in every_cell(index):
        ends = (cell.promoted, cell.suppressed)[: index.n_signs]
        best = max(rank_biased_overlap(own, np.array([[one.token_id for one in end]]))[0] for end in ends)
        if best and str(cell.cell) != "L2.7":
            expected[str(cell.cell)] = float(best)
    rows = similar(index, "L2.7", by="promoted", limit=10_000).rows
    assert {str(row.cell): row.similarity for row in rows} == pytest.approx(expected) and len(expected) > 5


def test_similar_by_vectors_minds_what_may_change_sign(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    import torch

    index, model = index_of("llama"), ffmem.load_model(tiny_folder("llama"))
    vectors = {"gate-key": model.gate_keys, "up-key": model.up_keys, "value": model.values}
    for by, read in vectors.items():
        rows = similar(index, "L0.3", by=by, model=model, limit=10_000).rows  # type: ignore[arg-type]
        assert len(rows) == index.n_cells - 1
        for row in rows[:20]:
            place, at = index.cells.place(row.cell)
            cosine = torch.cosine_similarity(read(0)[3], read(place)[at], dim=0).item()
            assert row.similarity == pytest.approx(abs(cosine) if by != "gate-key" else cosine, abs=1e-5)
    with pytest.raises(InputError, match=r"--by key is|--by is 'key'. Expected one of: triggers, promoted, gate-key"):
        similar(index, "L0.3", by="key", model=model)
    with pytest.raises(InputError, match="compares vectors, which an index does not hold"):
        similar(index, "L0.3", by="value")


def test_cells_of_dictionaries_have_a_key_and_one_sign_beside_gated_cells(
    gated_dictionary_index: Index, tiny_folder: Callable[[str], Path]
) -> None:
    """Their values are the axes, each with either sign: an axis is no neighbour of its opposite."""
    index, model = gated_dictionary_index, ffmem.load_model(tiny_folder("gemma2"))
    attach_indexed(model, index.manifest.options.attachments, index.manifest.dictionaries)
    for by in ("key", "value"):
        found = {
            str(one.cell): one.similarity for one in similar(index, "L1.added.3", by=by, limit=500, model=model).rows
        }
        assert found["L1.before.3"] == pytest.approx(1)
        assert found[f"L1.before.{3 + D_MODEL}"] == pytest.approx(-1)
        own = {name: value for name, value in found.items() if name.count(".") == 1}
        down = AutoModelForCausalLM.from_pretrained(tiny_folder("gemma2")).model.layers[0].mlp.down_proj.weight
        expected = (down[3].abs() / down.norm(dim=0)).tolist()  # a gated cell has either sign
        assert [own.get(f"L0.{row}") for row in range(len(expected))] == (
            pytest.approx(expected, rel=1e-4) if by == "value" else [None] * len(expected)
        )
    by_tokens = {str(one.cell): one for one in similar(index, "L1.added.3", by="promoted", limit=500).rows}
    assert by_tokens["L1.before.3"].similarity > 0.1 and f"L1.added.{3 + D_MODEL}" not in by_tokens
    for cell, by, match in (
        (
            "L1.added.3",
            "up-key",
            "Expected one of: triggers, promoted, key, value .the cells of the dictionary L1.added",
        ),
        ("L1.3", "key", "the cells of this model are gated"),
    ):
        with pytest.raises(InputError, match=match):
            similar(index, cell, by=by, model=model)  # type: ignore[arg-type]

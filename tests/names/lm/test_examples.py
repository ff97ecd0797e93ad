from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index
from ffmem.ids import CellId
from ffmem.names.lm.examples import WHY, hard_negatives, shown_of, value_tokens
from ffmem.names.lm.known import Known, Unit, known_of, positions
from ffmem.names.lm.texts import Texts
from tests.fixtures.made_index import Document, Layer, make_index


def test_what_is_shown_of_a_planted_cell(planted: Path) -> None:
    texts, unit = Texts(ffmem.open_index(planted)), Unit(CellId(0, 2))
    known = known_of(texts, unit)
    shown = shown_of(texts, unit, known, 0)
    assert (len(shown.triggers), len(shown.silent)) == (8, 6) and 5 <= len(shown.weaker) <= 8
    documents = texts.halves.documents_of(np.array(shown.tokens))
    assert texts.halves.is_in("naming", np.array(shown.tokens)).all()
    assert len({*documents[:8].tolist()}) >= 7
    assert all("⟦bas⟧" in one.text for one in (*shown.triggers, *shown.weaker))
    assert not any("⟦bas⟧" in one.text for one in shown.silent)
    assert {one.strength for one in shown.silent} == {0}
    assert min(one.strength for one in shown.triggers) >= max(one.strength for one in shown.weaker) - 1
    assert not {one.token for one in shown.triggers} & {one.token for one in shown.weaker}
    again = shown_of(texts, unit, known, 0)
    assert again == shown != shown_of(texts, unit, known, 1)


def test_hard_negatives_are_told_by_what_makes_them_hard(tmp_path: Path) -> None:
    sentences = [["big", " red", " cat"], ["a", " red", " cat"], ["a", " blue", " cat"], ["big", " old", " dog"],
                 ["x", " y", " z"], ["u", " v", " w"]]  # fmt: skip
    documents = [Document([one], f"d{i}") for i, one in enumerate(sentences)] + [
        Document([["q"]], f"e{i}") for i in range(8)
    ]
    index = make_index(tmp_path / "index", documents, [Layer(np.ones((26, 1)))])
    texts = Texts(index)
    texts.halves.of_document[:] = 0
    known = Known(positions([2], [1.0]), positions([], []), np.array([5, 8, 11, 14, 17]), 1.0, 0.5)
    found = dict(hard_negatives(texts, known, "naming", 3, np.random.default_rng(0)))
    assert found == {5: WHY[1], 8: WHY[0], 11: WHY[2]}
    assert hard_negatives(texts, known, "judging", 3, np.random.default_rng(0)) == []


@pytest.fixture
def gated(tmp_path: Path) -> Index:
    table = np.array([[1.0], [-2.0], [0.5], [-0.25]])
    documents = [Document([["a", "b"]]), Document([["c", "d"]])]
    return make_index(tmp_path / "gated", documents, [Layer(table, promoted=[[1, 3]])], gated=True)


def test_value_lists_change_places_with_the_sign(gated: Index) -> None:
    texts = Texts(gated)
    promoted, suppressed = value_tokens(texts, Unit(CellId(0, 0), 1))
    assert promoted == ("b", "d")
    assert value_tokens(texts, Unit(CellId(0, 0), -1)) == (suppressed, promoted)

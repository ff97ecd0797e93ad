"""What an index tells of units, against the table it was made from."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import StoreError
from ffmem.names.rules.text import Text
from ffmem.names.rules.units import Block, blocks, certain, check_sample, promoted, promoted_words, sampled
from tests.fixtures.made_index import Document, Layer, make_index
from tests.names.rules.small import small_index


def test_samples_stand_for_all_positions_above_zero(tmp_path: Path) -> None:
    index, tables = small_index(tmp_path / "index", gated=True)
    text = Text.of(index)
    for place, table in enumerate(tables):
        for sign in (1, -1):
            found = sampled(index, text, Block(place, sign, np.arange(table.shape[1])))
            signed = np.nan_to_num(sign * table)
            assert found.weight.sum(1) == pytest.approx((signed > 0).sum(0))
            for unit in range(table.shape[1]):
                kept = found.weight[unit] > 0
                at = found.token[unit, kept]
                assert len(set(at.tolist())) == kept.sum() >= min(60, (signed[:, unit] > 0).sum())
                assert (found.coefficient[unit, kept] == signed[at, unit]).all()


def test_what_is_counted_is_certain(tmp_path: Path) -> None:
    index, _ = small_index(tmp_path / "index")
    assert certain(index, Block(0, 1, np.arange(4))).tolist() == [0, 1, 2, 3]
    assert certain(index, Block(0, 1, np.array([3, 1]))).tolist() == [3, 1]
    assert certain(index, Block(1, 1, np.arange(2))).tolist() == [0, 0]


def test_blocks_hold_every_unit_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffmem.names.rules.units.BLOCK", 3)
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer(np.ones((1, 5)))] * 1, gated=True)
    found = [(one.place, one.sign, one.rows.tolist()) for one in blocks(index, {0: np.array([0, 1, 2, 4])})]
    assert found == [(0, 1, [0, 1, 2]), (0, 1, [4]), (0, -1, [0, 1, 2]), (0, -1, [4])]


def test_promoted_tokens_are_those_of_the_sign_and_none_where_the_text_lacks_them(tmp_path: Path) -> None:
    words = [" Yes", " b", " nowhere", " yes", "!"]
    layer = Layer(np.ones((4, 1)), promoted=[[3, 2]])
    index = make_index(tmp_path / "i", [Document([[" Yes", " b", " yes", "!"]])], [layer], vocabulary=words, gated=True)
    text = Text.of(index)
    found = promoted(index, text, Block(0, 1, np.array([0])))
    assert [text.strings[one] if one >= 0 else None for one in found[0].tolist()] == [" yes", None]
    turned = promoted(index, text, Block(0, -1, np.array([0])))
    assert turned.tolist() == found[:, ::-1].tolist()
    assert promoted_words(index, np.array([3, 2, 0, 4, 1])) == ["yes", "nowhere", "'!'"]
    assert promoted_words(index, np.array([0, 3, 4, 1]), most=2) == ["Yes", "'!'"]
    with pytest.raises(StoreError, match="without a sample"):
        check_sample(index)

"""Where changes land in the numbers of a layer, against hand-made tensors; the whole way through a model: test_intervene.py."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

import ffmem
from ffmem import CellId, InputError
from ffmem.analyses.applied_changes import AppliedChanges, altered
from ffmem.analyses.change import Change
from ffmem.models.inputs import read_text
from ffmem.models.transformer import Transformer

TEXT = "the old river"


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return ffmem.load_model(tiny_folder("llama"))  # it has a special token before the text


def test_the_three_kinds_of_change() -> None:
    m = torch.tensor([1.0, -2.0])
    assert altered(m, Change(CellId(0, 0), "*", 3.0)).tolist() == [3.0, -6.0]
    assert altered(m, Change(CellId(0, 0), "+", 3.0)).tolist() == [4.0, 1.0]
    assert altered(m, Change(CellId(0, 0), "=", 3.0)).tolist() == [3.0, 3.0]


def test_rows_of_a_batch_have_changes_of_their_own(model: Transformer) -> None:
    read = read_text(model, TEXT, "auto")
    first, n = len(read.before), len(read.before) + len(read.own.ids)
    assert first == 1 and n > 3
    rows = [
        [Change(CellId(1, 2), "=", 5.0)],
        [],
        [Change(CellId(1, 4), "+", 1.0, -1), Change(CellId(1, 4), "*", 2.0, 0)],
    ]
    given = torch.arange(3.0 * n * 6).reshape(3, n, 6)
    expected = given.clone()
    expected[0, 1:, 2] = 5.0  # the special token stays as it is
    expected[2, n - 1, 4] += 1.0
    expected[2, 1, 4] *= 2.0
    before = given.clone()
    found = AppliedChanges(model, read, rows)(1, given)
    assert found is not None and torch.equal(found, expected) and torch.equal(given, before)
    assert AppliedChanges(model, read, rows)(0, given) is None


def test_of_a_text_that_grows_only_the_end_may_be_run(model: Transformer) -> None:
    read = read_text(model, TEXT, "auto")
    n = len(read.before) + len(read.own.ids)
    everywhere, at_one, at_last = (
        Change(CellId(1, 2), "=", 5.0),
        Change(CellId(1, 2), "=", 5.0, 1),
        Change(CellId(1, 2), "*", 0.0),
    )
    applied = AppliedChanges(model, read, [[everywhere, at_one]])
    assert applied.stay and not AppliedChanges(model, read, [[at_last]], "last").stay
    assert AppliedChanges(model, read, [[at_one]], "last").stay
    assert applied.positions(everywhere, n) == slice(1, n) and applied.positions(at_one, n) == slice(2, 3)
    applied.follow(SimpleNamespace(n_kept=n))  # type: ignore[arg-type] # all that is asked of it
    assert range(1)[applied.positions(everywhere, 1)] == range(1)  # the token that is new
    assert not range(1)[applied.positions(at_one, 1)]  # long since run
    with pytest.raises(InputError, match=r"at token 99, and the text has \d+ tokens"):
        AppliedChanges(model, read, [[Change(CellId(1, 2), "*", 0.0, 99)]])

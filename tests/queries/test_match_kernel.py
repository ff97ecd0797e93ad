"""The compiled count, against a loop."""

import numpy as np
import pytest

from ffmem.queries.marks import Marks
from ffmem.queries.match_kernel import count_matches


@pytest.mark.parametrize("is_rare", [True, False])
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 1.0])
def test_counts_equal_a_loop(share: float, is_rare: bool) -> None:
    rng = np.random.default_rng(0)
    n_marks, top, n_rows = 1300, 6, 50
    mask = rng.random(n_marks) < share
    mask[-1] = False
    tokens = rng.integers(0, n_marks - 1, (n_rows, top)).astype(np.uint32)
    for row in range(0, n_rows, 3):
        tokens[row, rng.integers(0, top) :] = 2**32 - 1
    coefficients = -np.sort(-rng.random((n_rows, top)).astype(np.float32), axis=1) * -1
    rows = np.array([0, 3, 4, 5, 17, 18, 30, 49])
    counts, strongest = np.zeros((8, 2), dtype=np.int32), np.zeros(8, dtype=np.float32)
    marks = Marks(np.packbits(mask, bitorder="little"), n_marks, None, 0.0)
    count_matches(tokens, coefficients, marks.bits, marks.some, is_rare, n_marks, rows, counts, strongest)
    for i, row in enumerate(rows.tolist()):
        listed = [(int(t), abs(float(c))) for t, c in zip(tokens[row], coefficients[row], strict=True) if t < n_marks]
        sizes = [size for token, size in listed if mask[token]]
        assert counts[i].tolist() == [len(sizes), len(listed)]
        assert np.isclose(strongest[i], max(sizes, default=0) / abs(float(coefficients[row, 0])))
    assert share == 0 or counts[:, 0].any()

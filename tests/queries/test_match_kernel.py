"""The compiled count, against a loop."""

import numpy as np

from ffmem.queries.match_kernel import count_matches


def test_counts_equal_a_loop() -> None:
    rng = np.random.default_rng(0)
    n_marks, top, n_rows = 37, 6, 50
    mask = rng.random(n_marks) < 0.3
    mask[-1] = False
    tokens = rng.integers(0, n_marks - 1, (n_rows, top)).astype(np.uint32)
    for row in range(0, n_rows, 3):
        tokens[row, rng.integers(0, top) :] = 2**32 - 1
    coefficients = -np.sort(-rng.random((n_rows, top)).astype(np.float32), axis=1) * -1
    rows = np.array([0, 3, 4, 5, 49])
    counts, share = np.zeros((5, 2), dtype=np.int32), np.zeros(5, dtype=np.float32)
    count_matches(tokens, coefficients, np.packbits(mask, bitorder="little"), n_marks, rows, counts, share)
    for i, row in enumerate(rows.tolist()):
        listed = [(int(t), abs(float(c))) for t, c in zip(tokens[row], coefficients[row], strict=True) if t < n_marks]
        sizes = [size for token, size in listed if mask[token]]
        assert counts[i].tolist() == [len(sizes), len(listed)]
        assert np.isclose(share[i], max(sizes, default=0) / abs(float(coefficients[row, 0])))

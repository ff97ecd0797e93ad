"""The bins of the histogram of per-sentence maxima: two an octave, the same for every cell. Needs no torch."""

import numpy as np

N_BINS = 64
LOWEST_EXPONENT = -15
"""The first bin of its own begins at 2**LOWEST_EXPONENT."""


def histogram_edges() -> np.ndarray:
    """Edges (float64, N_BINS + 1 of them): bin b holds edges[b] <= x < edges[b + 1].

    Bins begin at 2**k and 1.5 * 2**k, from 2**-15 on; bin 0 begins at -inf and holds everything below, also maxima
    that are not positive; the last bin ends at +inf.
    """
    inner = [2.0 ** (LOWEST_EXPONENT + i // 2) * (1.5 if i % 2 else 1.0) for i in range(N_BINS - 1)]
    return np.array([-np.inf, *inner, np.inf])

"""How many triggers of each cell match, compiled: one look at every slot of a layer, for indexes of many cells.

Arrays in, arrays out. `matches.counts` does the same in numpy, which a small index is quicker with.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def count_matches(tokens, coefficients, bits, n_marks, rows, counts, strongest):
    """For some rows of a layer and sign, count the triggers whose bit is set, and find the strongest of these.

    Args:
        tokens: (rows of the layer, top) token indices; those of empty slots are larger than any, and stand last.
        coefficients: the same shape.
        bits: a bit for each token, the lowest of a byte first.
        n_marks: how many tokens there are.
        rows: which rows.
        counts: (rows, 2) filled in, for each of these: triggers that match, and all triggers.
        strongest: filled in: the largest coefficient in size of a trigger that matches, over that of the first trigger.
    """
    top = tokens.shape[1]
    for i in range(len(rows)):
        row = rows[i]
        n, n_all, most = 0, 0, np.float32(0)
        for slot in range(top):
            token = tokens[row, slot]
            if token >= n_marks:
                break
            n_all += 1
            if (bits[token >> 3] >> (token & 7)) & 1:
                n += 1
                size = abs(coefficients[row, slot])
                if size > most:
                    most = size
        counts[i, 0], counts[i, 1] = n, n_all
        largest = abs(coefficients[row, 0])
        strongest[i] = most / largest if largest > 0 else np.float32(0)

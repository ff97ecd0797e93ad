"""How many triggers of each cell match, compiled: one look at every slot of a layer, for indexes of many cells.

Arrays in, arrays out. `matches.counts` does the same in numpy, which a small index is quicker with.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def count_matches(tokens, coefficients, bits, some, is_rare, n_marks, rows, counts, strongest):
    """For some rows of a layer and sign, count the triggers whose bit is set, and find the strongest of these.

    Args:
        tokens: (rows of the layer, top) token indices; those of empty slots are larger than any, and stand last.
        coefficients: the same shape.
        bits: a bit for each token, the lowest of a byte first.
        some: likewise a bit for each 64 of these, whether any is set.
        is_rare: whether to look there first, which is worth it where few are: these few bytes stay in the cache.
        n_marks: how many tokens there are.
        rows: which rows.
        counts: (rows, 2) filled in, for each of these: triggers that match, and all triggers.
        strongest: filled in: the largest coefficient in size of a trigger that matches, over that of the first trigger.
    """
    top = tokens.shape[1]
    found = np.empty(top + 1, dtype=np.int64)  # slots; no branches, which a processor would guess wrong
    for i in range(len(rows)):
        row = rows[i]
        n_all = top
        while n_all > 0 and tokens[row, n_all - 1] >= n_marks:
            n_all -= 1
        n_near, n = 0, 0
        if is_rare:
            for slot in range(n_all):
                token = tokens[row, slot]
                found[n_near] = slot
                n_near += (some[token >> 9] >> ((token >> 6) & 7)) & 1
            for k in range(n_near):
                token = tokens[row, found[k]]
                found[n] = found[k]
                n += (bits[token >> 3] >> (token & 7)) & 1
        else:
            for slot in range(n_all):
                token = tokens[row, slot]
                found[n] = slot
                n += (bits[token >> 3] >> (token & 7)) & 1
        most = np.float32(0)
        for k in range(n):
            size = abs(coefficients[row, found[k]])
            if size > most:
                most = size
        counts[i, 0], counts[i, 1] = n, n_all
        largest = abs(coefficients[row, 0])
        strongest[i] = most / largest if largest > 0 else np.float32(0)

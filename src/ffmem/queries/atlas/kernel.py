"""The inner loops of finding each cell's nearest cells, compiled. Arrays in, arrays out."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def _keep(ids, best, number, likeness):
    """Put a cell where it belongs in a list, most alike first, of equals the lower number."""
    last = len(best) - 1
    if likeness < best[last] or (likeness == best[last] and number > ids[last]):
        return
    place = last
    while place > 0 and (best[place - 1] < likeness or (best[place - 1] == likeness and ids[place - 1] > number)):
        best[place], ids[place] = best[place - 1], ids[place - 1]
        place -= 1
    best[place], ids[place] = likeness, number


@njit(cache=True, nogil=True)
def take_nearest(cosines, own, both_signs, ids, best):
    """The nearest of each row of a block of cosines; ``own``: the column that is the row's own cell, or -1."""
    for row in range(len(cosines)):
        for column in range(cosines.shape[1]):
            cosine = cosines[row, column]
            likeness = abs(cosine) if both_signs else cosine
            if likeness >= best[row, -1] and column != own[row]:
                _keep(ids[row], best[row], column, likeness)


@njit(cache=True, nogil=True)
def take_sharing(asked, cells, lists, own, ids, best):
    """The cells that share most with each of some: sum of min(a, b) over sum of max(a, b) of the weights of sentences.

    ``cells``: (start of each cell, its sentences, their weights, sum of these); ``lists``: (start of each sentence, the
    columns that have it, their weights, sum of the weights of each column).
    """
    starts, sentences, weights, sums = cells
    first, columns, others, column_sums = lists
    shared = np.zeros(len(column_sums), dtype=np.float32)
    met = np.zeros(len(column_sums), dtype=np.int64)
    for row in range(len(asked)):
        n = 0
        for at in range(starts[asked[row]], starts[asked[row] + 1]):
            weight = weights[at]
            for entry in range(first[sentences[at]], first[sentences[at] + 1]):
                column = columns[entry]
                if shared[column] == 0:
                    met[n] = column
                    n += 1
                shared[column] += min(weight, others[entry])
        for i in range(n):
            column = met[i]
            if column != own[row]:
                likeness = shared[column] / (sums[asked[row]] + column_sums[column] - shared[column])
                _keep(ids[row], best[row], column, likeness)
            shared[column] = 0

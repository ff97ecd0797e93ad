"""Where sentences of ASCII have a text, compiled: for indexes of many cells, which load a compiled loop anyway.

Arrays in, arrays out. What is found is what `wanted.Wanted.patterns` find, as `text_places` reads them one by one.
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def first_ends(data, part, is_word, ends):
    """For each sentence, raise its end to that of the first match; to that of the sentence, if there is none.

    Args:
        data: bytes of sentences, each with a 0 after it; none has one within.
        part: what is looked for, in small letters; a 0 stands for one or more bytes that are no letter or digit.
        is_word: whether no letter or digit may stand before it, or after it.
        ends: (sentences,) changed: an end within its sentence; negative where the sentence is not all ASCII, which is left
            to others.
    """
    kind = np.zeros(256, dtype=np.uint8)  # 1: a letter or digit
    lower = np.arange(256).astype(np.uint8)
    for one in range(128):
        if 48 <= one < 58 or 65 <= one < 91 or 97 <= one < 123:
            kind[one] = 1
        if 65 <= one < 91:
            lower[one] = one + 32
    n_part, sentence, first, at = len(part), 0, 0, 0
    n = len(data)
    while sentence < len(ends):
        found, is_ascii = -1, True
        at = first
        while at < n and data[at] != 0:
            byte = data[at]
            if byte >= 128:
                is_ascii = False
            elif found < 0 and lower[byte] == part[0] and not (is_word and at > first and kind[data[at - 1]]):
                here, k = at, 0
                while k < n_part:
                    if part[k] == 0:
                        begin = here
                        while here < n and data[here] != 0 and data[here] < 128 and not kind[data[here]]:
                            here += 1
                        if here == begin:
                            break
                    elif here < n and lower[data[here]] == part[k]:
                        here += 1
                    else:
                        break
                    k += 1
                if k == n_part and not (is_word and here < n and kind[data[here]]):
                    found = here
            at += 1
        if not is_ascii:
            ends[sentence] = -1
        elif ends[sentence] >= 0:
            ends[sentence] = max(ends[sentence], (found if found >= 0 else at) - first)
        first = at + 1
        sentence += 1

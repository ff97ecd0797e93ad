from collections import Counter, defaultdict

import numpy as np

from ffmem.names.rules.ngrams import ngrams
from ffmem.names.rules.windows import Windows
from tests.names.rules.texts import made_text


def test_windows_hold_what_a_loop_finds_and_count_it_so() -> None:
    text = made_text()
    grams = ngrams(text, text.token, 3)
    size = 8
    windows = Windows(text, grams, size)
    tokens = text.token.tolist()
    n_grams = Counter(
        tuple(tokens[end - n + 1 : end + 1])
        for n in (1, 2, 3)
        for end in range(len(tokens))
        if text.within[end] >= n - 1
    )
    expected, counts = defaultdict(set), Counter()
    for at in range(len(tokens)):
        first = at - min(int(text.within[at]), size - 1)
        window = tokens[first : max(at - 1, first)]
        for n in (1, 2, 3):
            expected[at] |= {tuple(window[i : i + n]) for i in range(len(window) - n + 1)}
        expected[at] = {one for one in expected[at] if n_grams[one] >= 5}
        if text.competes[at]:
            counts.update((one, int(text.quarter[text.document[at]])) for one in expected[at])

    def spelled(value: int) -> tuple[int, ...]:
        found, number = windows.gram(value)
        end = int(found.example[number])
        return tuple(tokens[end - found.length + 1 : end + 1])

    for value in range(windows.n_values):
        assert windows.counts[value].tolist() == [counts[spelled(value), quarter] for quarter in range(4)]
    rare = {spelled(i) for i in range(windows.n_values) if windows.counts[i].sum() <= 0.08 * text.competes.sum()}
    which, values = windows.expand(np.arange(len(tokens)))
    found = defaultdict(set)
    for at, value in zip(which.tolist(), values.tolist(), strict=True):
        assert spelled(value) not in found[at]
        found[at].add(spelled(value))
    assert rare and {at: found[at] for at in range(len(tokens))} == {
        at: expected[at] & rare for at in range(len(tokens))
    }

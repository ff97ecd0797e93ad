"""Links from maps between words, against a loop over their entries."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.alignment.maps import NO_LINK, best_sources, links_of
from ffmem.analyses.alignment.words import NO_WORD


def test_links_are_the_largest_columns_of_each_row() -> None:
    maps = np.array([[[0.5, 0.2, 0.3], [0.1, 0.2, 0.7], [0.2, 0.2, 0.1], [0.0, 0.0, 0.0]]])  # the last column is </s>
    source = np.array([0, 1, NO_WORD])
    has_row = np.array([True, True, True, False])
    found = best_sources(maps, source, has_row, 2)
    assert found.tolist() == [[0, NO_LINK, 0, NO_LINK]]
    assert links_of(found[0]) == {(0, 0), (0, 2)}
    without = best_sources(maps, np.array([1, NO_WORD]), has_row, 2)  # the tokenizer left nothing of word 0
    assert without.tolist() == [[NO_LINK, NO_LINK, 1, NO_LINK]]


@given(st.data())
def test_sources_are_those_of_a_loop(data: st.DataObject) -> None:
    """Of few different numbers, so that many are equal: the first of them wins."""
    n_source, n_special, n_target = (data.draw(st.integers(low, 4)) for low in (1, 0, 1))
    entries = st.sampled_from([0.0, 0.25, 0.5])
    row = st.lists(entries, min_size=n_source + n_special, max_size=n_source + n_special)
    maps = np.array(data.draw(st.lists(row, min_size=n_target, max_size=n_target)))
    with_token = data.draw(st.sets(st.integers(0, n_source - 1)))
    if not with_token and not n_special:
        with_token = {0}  # some column must be there to be looked at
    has_row = np.array(data.draw(st.lists(st.booleans(), min_size=n_target, max_size=n_target)))
    words = np.array([*sorted(with_token), *[NO_WORD] * n_special], dtype=np.int64)
    expected = []
    for target in range(n_target):
        best, largest = NO_LINK, -1.0
        for column in range(n_source + n_special):
            if (column >= n_source or column in with_token) and maps[target, column] > largest:
                best, largest = (column if column < n_source else NO_LINK), maps[target, column]
        expected.append(best if has_row[target] else NO_LINK)
    found = best_sources(np.stack([maps, maps]), words, has_row, n_source)
    assert found.dtype == np.int16 and found.tolist() == [expected, expected]
    assert links_of(found[0]) == {(source, j) for j, source in enumerate(expected) if source != NO_LINK}

"""Which document a sentence lies in, against a list of one number a sentence."""

import numpy as np
import pytest

from ffmem.store.document_runs import document_runs


def grouped(of_sentence: list[int]) -> list[tuple[int, int, int, int]]:
    """As SQLite gives it: by document."""
    places = {one: [i for i, other in enumerate(of_sentence) if other == one] for one in sorted(set(of_sentence))}
    return [(one, at[0], at[-1], len(at)) for one, at in places.items()]


def test_runs_equal_a_number_a_sentence() -> None:
    of_sentence = [0, 0, 3, 4, 4, 4, 1, 1, 6]  # those held out follow, so documents are not in order
    rows = grouped(of_sentence)
    runs = document_runs([rows[:2], [], rows[2:]], len(of_sentence))
    assert runs.of(np.arange(9)).tolist() == of_sentence
    assert runs.of(np.array([8, 0, 5], dtype=np.uint64)).tolist() == [6, 0, 4]
    chosen = np.array([False, True, False, False, True, True, False])
    firsts, ends = runs.of_documents(chosen)
    assert [i for first, end in zip(firsts, ends, strict=True) for i in range(first, end)] == [3, 4, 5, 6, 7]
    assert not len(document_runs([], 0).of(np.zeros(0, dtype=np.int64)))


@pytest.mark.parametrize(
    ("rows", "n", "why"),
    [
        (grouped([0, 1, 0]), 3, "side by side"), (grouped([0, 1]), 3, "side by side"), ([], 2, "none of 2 sentences"),
        ([(0, 1, 1, 1)], 2, "side by side"), ([("0", 0, 1, 2)], 2, "is none"), ([(None, 0, 1, 2)], 2, "is none"),
    ],
)  # fmt: skip
def test_nonsense_is_told(rows: list[tuple[int, int, int, int]], n: int, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        document_runs([rows], n)

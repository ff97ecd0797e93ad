"""The makeup of agreeing pairs, against pairs counted by hand."""

import numpy as np

from ffmem.analyses.agreeing import makeup
from tests.analyses.made_refinement import prefixes, refinement

VOCABULARY = [" the", "river", ".", "42"]


def test_shares_by_hand() -> None:
    agrees = np.array([[True, False], [True, True], [False, False]])
    made = refinement([[1, 1]] * 3, [[0, 1], [2, 1], [0, 3]], [[1, 1]] * 3, active_agrees=agrees)
    answer = makeup(made, prefixes([3, 4, 9]), VOCABULARY)  # of 4, 5 and 10 tokens: the first alone is short
    assert answer.n_pairs == 3  # of the tokens " the", "." and "river"
    assert [round(share.value, 6) for share in (answer.stop_word, answer.mark, answer.short_prefix)] == [
        round(1 / 3, 6)
    ] * 3
    assert round(answer.stop_word_of_all.value, 6) == round(2 / 6, 6)
    assert round(answer.mark_of_all.value, 6) == round(2 / 6, 6)
    assert round(answer.short_prefix_of_all.value, 6) == round(2 / 6, 6)

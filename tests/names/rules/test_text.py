import numpy as np

from ffmem.names.rules.text import folded, numbered
from tests.names.rules.texts import made_text


def test_neighbours_stand_in_the_same_sentence() -> None:
    text = made_text(60)
    at = np.arange(len(text.token))
    rows = [text.token[text.sentence == number].tolist() for number in range(60)]
    assert text.next_tokens().tolist() == [one for row in rows for one in [*row[1:], -1]]
    for n in (1, 3):
        assert text.before(at, n).tolist() == [one for row in rows for one in [*([-1] * n), *row][: len(row)]]


def test_spellings_of_a_word_have_one_number() -> None:
    assert [folded(one) for one in (" Looked", "##ing", " ", "ẞ", "##")] == ["looked", "ing", " ", "ss", "##"]
    numbers, names = numbered((" the", "The", "a", "THE"))
    assert numbers.tolist() == [0, 0, 1, 0] and names == ("the", "a")

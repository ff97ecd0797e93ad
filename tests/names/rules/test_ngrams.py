from collections import Counter

from ffmem.names.rules.ngrams import ngrams
from tests.names.rules.texts import made_text


def test_ngrams_are_those_that_a_loop_counts_five_times_or_more() -> None:
    text = made_text(300)
    tokens = text.token.tolist()
    for length, found in enumerate(ngrams(text, text.token, 3), start=1):
        of = {
            end: tuple(tokens[end - length + 1 : end + 1])
            for end in range(len(tokens))
            if text.within[end] >= length - 1
        }
        counts = Counter(of.values())
        frequent = {one for one in counts if counts[one] >= 5}
        assert (found.length, found.n) == (length, len(frequent)) and len(frequent) > 0
        assert length < 3 or len(frequent) < len(counts)
        said = [of[end] for end in found.example.tolist()]
        assert [next(end for end in of if of[end] == one) for one in said] == found.example.tolist()
        expected = [said.index(of[end]) if of.get(end) in frequent else -1 for end in range(len(tokens))]
        assert found.at.tolist() == expected

"""From words to cells, against the slow way: every text looked through."""

import json
import re
from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.site.words import add, merge, script, scripts, shard_of, words_of


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The Old river's", {"the", "old", "river", "s"}),
        ("naïve x86 a_b", {"naïve", "x86", "a_b"}),
        ("日本語", {"日", "本", "語", "日本", "本語"}),
        ("café日本", {"café", "日", "本", "日本"}),
        ("a+b €5", {"a", "+", "b", "€", "5"}),
        (" ,.!", set()),
    ],
)
def test_words(text: str, words: set[str]) -> None:
    assert words_of(text) == words


def unpacked(text: str) -> list[int]:
    numbers, last = [], 0
    for part in text.split():
        last += int(part, 36)
        numbers.append(last)
    return numbers


@given(
    st.lists(st.lists(st.sampled_from(["old", "river", "stone", "日本"]), max_size=4), max_size=40), st.integers(0, 40)
)
def test_scripts_lead_from_each_word_to_the_cells_that_have_it(texts: list[list[str]], cut: int) -> None:
    parts: list[dict[str, array[int]]] = [{}, {}]
    for cell, words in enumerate(texts):
        add(parts[cell >= cut], words, cell)
    found: dict[str, list[int]] = {}
    for name, body in scripts("t", merge(parts)).items():
        shown = re.fullmatch(r"ffmemTake\((\"[^\"]*\"),(.*)\);\n", body.decode(), re.DOTALL)
        assert shown is not None and f"{json.loads(shown[1])}.js" == name
        for word, cells in json.loads(shown[2]).items():
            assert name == f"t-{shard_of(word)}.js"
            found[word] = unpacked(cells)
    wanted = {word for words in texts for word in words}
    assert found == {word: [i for i, words in enumerate(texts) if word in words] for word in wanted}


def test_a_script_hands_its_value_over() -> None:
    assert script('a"b', {"é": 1}) == 'ffmemTake("a\\"b",{"é":1});\n'

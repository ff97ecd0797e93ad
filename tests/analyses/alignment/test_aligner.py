"""Links that aligners learn: from text whose words translate one to one, against what is true of it."""

import importlib.util
import random
import sys

import pytest

from ffmem.analyses.alignment import aligner
from ffmem.analyses.alignment.aligner import LearnedLinks, is_installed, learn_links, require
from ffmem.analyses.alignment.pairs import Pair
from ffmem.errors import InputError

needs_thot = pytest.mark.skipif(not is_installed(), reason="needs the extra alignment; `make test` brings it")
LEXICON = {f"w{n}": f"V{n}" for n in range(20)}


def translated(n: int, seed: int = 0, turn: bool = False) -> list[Pair]:
    """Sentences of different words, and the same word by word in the other language; or from the last word to the first."""
    dice = random.Random(seed)
    pairs = []
    for _ in range(n):
        words = dice.sample(sorted(LEXICON), dice.randint(2, 6))
        target = [LEXICON[word] for word in words]
        pairs.append(Pair(tuple(words), tuple(target[::-1] if turn else target)))
    return pairs


def true_links(pair: Pair) -> frozenset[tuple[int, int]]:
    return frozenset((pair.source.index(f"w{word[1:]}"), j) for j, word in enumerate(pair.target))


def share_right(found: tuple[frozenset[tuple[int, int]], ...], pairs: list[Pair]) -> float:
    right = sum(len(one & true_links(pair)) for one, pair in zip(found, pairs, strict=True))
    return 2 * right / sum(len(one) + len(pair.target) for one, pair in zip(found, pairs, strict=True))


@needs_thot
@pytest.mark.parametrize("method", ["eflomal", "fast_align"])
def test_words_that_translate_one_to_one_are_linked(method: aligner.Method) -> None:
    pairs = translated(20)
    found = learn_links(pairs, translated(400, seed=1), method=method)
    assert found.method == method and len(found.forward) == len(found.symmetrised) == 20
    assert share_right(found.forward, pairs) > 0.95 and share_right(found.symmetrised, pairs) > 0.95
    for one, pair in zip(found.forward, pairs, strict=True):
        targets = [target for _, target in one]
        assert len(targets) == len(set(targets))  # a target word has one link at most
        assert all(0 <= source < len(pair.source) and 0 <= target < len(pair.target) for source, target in one)


@needs_thot
def test_words_that_change_places_are_linked_by_what_they_mean() -> None:
    """No diagonal helps here: only which words come together."""
    pairs = translated(20, turn=True)
    found = learn_links(pairs, translated(400, seed=1, turn=True))
    assert share_right(found.symmetrised, pairs) > 0.9
    on_diagonal = tuple(frozenset((j, j) for j in range(len(pair.target))) for pair in pairs)
    assert share_right(on_diagonal, pairs) < 0.3


@needs_thot
def test_capitals_do_not_matter_and_rounds_are_told() -> None:
    pairs = translated(30)
    loud = [Pair(tuple(map(str.upper, one.source)), tuple(map(str.lower, one.target))) for one in pairs]
    rounds: list[tuple[int, int]] = []
    found = learn_links(pairs, method="fast_align", on_round=lambda done, of: rounds.append((done, of)))
    assert rounds == [(n, 10) for n in range(1, 11)]  # five in each direction
    assert learn_links(loud, method="fast_align") == found
    sampled = learn_links(pairs, seed=3)
    assert sampled == learn_links(pairs, seed=3) and isinstance(sampled, LearnedLinks)


def test_a_method_that_is_none_is_refused() -> None:
    with pytest.raises(InputError, match=r"the aligner is 'giza'.*Expected one of: eflomal, fast_align.*Use eflomal"):
        learn_links(translated(2), method="giza")  # type: ignore[arg-type]


def test_without_the_extra_it_is_said_what_cannot_be_done(monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(aligner, "find_spec", lambda name: None if name == "thot" else find(name))
    assert not is_installed()
    monkeypatch.setitem(sys.modules, "thot.alignment", None)
    with pytest.raises(InputError, match=r"gold links cannot be compared.*extra 'alignment'.*pip install"):
        require("gold links cannot be compared")

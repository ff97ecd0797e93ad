"""The whole experiment: on a copy model, from Python and from the command line; and the aligners it is set beside."""

import json
import random

import numpy as np
import pytest

from ffmem.analyses.alignment.aligner import is_installed, learn_links
from ffmem.analyses.alignment.extract import Extraction
from ffmem.analyses.alignment.links import all_sure
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.scoring import score
from ffmem.analyses.correlation import pearson, ranks
from ffmem.errors import InputError
from ffmem.render import alignment
from ffmem.studies.alignment.experiment import align, study_of
from tests.studies.alignment.copying import WORDS, copy_model

needs_aligner = pytest.mark.skipif(not is_installed(), reason="needs the extra 'alignment'; `make test` brings it")
DICTIONARY = {
    "eins": "one",
    "zwei": "two",
    "drei": "three",
    "vier": "four",
    "fünf": "five",
    "sechs": "six",
    "acht": "eight",
}


def made_pairs(n: int) -> tuple[list[Pair], list[frozenset[tuple[int, int]]]]:
    """Sentences word for word, with two neighbours now and then swapped; and the right links."""
    rng = random.Random(0)
    pairs, links = [], []
    for _ in range(n):
        source = rng.sample(sorted(DICTIONARY), rng.randint(3, 6))
        order = list(range(len(source)))
        if rng.random() < 0.4:
            at = rng.randrange(len(order) - 1)
            order[at : at + 2] = order[at + 1], order[at]
        pairs.append(Pair(tuple(source), tuple(DICTIONARY[source[place]] for place in order)))
        links.append(frozenset((place, target) for target, place in enumerate(order)))
    return pairs, links


@needs_aligner
@pytest.mark.parametrize("method", ["eflomal", "fast_align"])
def test_aligners_learn_a_dictionary_the_same_each_time(method: str) -> None:
    pairs, right = made_pairs(300)
    rounds: list[tuple[int, int]] = []
    found = learn_links(pairs[:40], pairs[40:], method=method, on_round=lambda *now: rounds.append(now))  # type: ignore[arg-type]
    again = learn_links(pairs[:40], pairs[40:], method=method)  # type: ignore[arg-type]
    assert found == again and len(found.forward) == 40
    assert rounds[-1][0] == rounds[-1][1] == len(rounds)
    gold = [all_sure(links) for links in right[:40]]
    assert score(found.symmetrised, gold).error_rate.value < 0.1
    assert score(found.forward, gold).error_rate.value < 0.1
    assert all(len({target for _, target in links}) == len(links) for links in found.forward)


@needs_aligner
def test_an_unknown_aligner() -> None:
    with pytest.raises(InputError, match=r"the aligner is 'giza'.*eflomal, fast_align"):
        learn_links([], method="giza")  # type: ignore[arg-type]


def test_without_the_extra_there_is_no_silver(monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    installed = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, package=None: None if name == "thot" else installed(name)
    )
    monkeypatch.setitem(__import__("sys").modules, "thot.alignment", None)
    with pytest.raises(InputError, match=r"links cannot be learned.*Expected the extra 'alignment'"):
        learn_links([Pair(("a",), ("b",))])


def copies(n: int) -> list[Pair]:
    rng = random.Random(1)
    sentences = [tuple(rng.sample(WORDS, rng.randint(2, 5))) for _ in range(n)]
    return [Pair(sentence, sentence) for sentence in sentences]


def test_gold_links_score_a_copy_model() -> None:
    pairs = copies(20)
    gold = [all_sure(frozenset((n, n) for n in range(len(pair.source)))) for pair in pairs]
    stages: list[str] = []
    study, links = align(
        copy_model(1), pairs, gold, systems=[("own.talp", gold)], pick="L0:AWI:weights",
        listen=lambda what, _done, _all: stages.append(what),
    )  # fmt: skip
    assert links == [one.sure for one in gold] and stages[0] == "reading attention"
    assert study.against == "gold" and study.others[0].score.error_rate.value == 0
    shown = alignment(study)
    assert "Against the gold links" in shown and "own.talp" in shown and "L0.H0" in shown
    assert json.loads(json.dumps(study.to_json()))["highest_mean_norm"] == {"layer": "L0", "head": "L0.H0"}
    with pytest.raises(InputError, match=r"--pick is 'L3:AWI'.*from L0 to L0 or a head such as L0.H0, then AWI or AWO"):
        study.named("L3:AWI")


@needs_aligner
def test_without_gold_links_silver_ones_stand_in_and_it_is_said() -> None:
    study, _ = align(copy_model(1), copies(60))
    assert study.against == "silver" and "silver standard" in alignment(study)
    assert [one.name for one in study.others] == ["fast_align, one direction", "fast_align, symmetrised"]
    assert study.row(0, 0, "norms", "AWI").score.error_rate.value < 0.05
    assert study.row(0, 0, "norms", "AWO").score.error_rate.value > 0.5


def test_places_are_chosen_by_their_mean_norm_and_rates_correlated_with_it() -> None:
    rng = np.random.default_rng(5)
    keys = [(measure, reading) for measure in ("weights", "norms") for reading in ("AWI", "AWO")]
    sources = {key: [rng.integers(-1, 4, (2, 4, 5)).astype(np.int16) for _ in range(9)] for key in keys}
    norms = rng.random((2, 4))
    gold = [all_sure(frozenset((n % 4, n) for n in range(5)))] * 9
    study = study_of("random", Extraction(sources, norms, 1), gold, [], "gold")  # type: ignore[arg-type]
    assert study.layer == norms[:, 0].argmax()
    assert norms[study.head[0], study.head[1] + 1] == norms[:, 1:].max()
    rates = [study.row(layer, head, "norms", "AWI").score.error_rate.value for layer in (0, 1) for head in (0, 1, 2)]
    assert study.correlations[0].pearson == pytest.approx(np.corrcoef(rates, norms[:, 1:].ravel())[0, 1])
    row = study.row(1, 2, "weights", "AWO")
    expected = [frozenset((int(s), t) for t, s in enumerate(one[1, 3]) if s >= 0) for one in sources["weights", "AWO"]]
    assert row.score == score(expected, gold)


def test_ranks_and_correlations() -> None:
    assert ranks(np.array([3.0, 1.0, 3.0, 0.5])).tolist() == [2.5, 1.0, 2.5, 0.0]
    assert pearson(np.array([1.0, 2.0, 4.0]), np.array([-1.0, -2.0, -4.0])) == pytest.approx(-1)
    assert np.isnan(pearson(np.array([1.0, 1.0]), np.array([1.0, 2.0])))

"""Pairs made by rule: what they say, in words of the model's vocabulary."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import InputError, load_model
from ffmem.analyses.circuit.tasks import TaskName, make_pairs, task_names
from ffmem.analyses.circuit.words import CAPITALS, NOUNS, PHRASES, PLAIN, SEEN, VERBS
from ffmem.models.transformer import Transformer
from tests.analyses.circuit.toy import chain, words_of


@pytest.fixture(scope="module")
def worded(tmp_path_factory: pytest.TempPathFactory) -> Transformer:
    return load_model(words_of(tmp_path_factory.mktemp("worded")))


def test_the_verb_is_that_of_the_first_noun_which_alone_is_changed(worded: Transformer) -> None:
    pairs = make_pairs(worded, "agreement", 12)
    assert len({one.template for one in pairs}) == 5 and len(pairs) == len(set(pairs)) == 60
    plural = {form: number for one in NOUNS for number, form in enumerate(one)}
    form_of = {f" {form}": number for one in VERBS for number, form in enumerate(one)}
    for pair in pairs:
        words, others = pair.prompt.split(), pair.counterfactual.split()
        (changed,) = [at for at, (one, other) in enumerate(zip(words, others, strict=True)) if one != other]
        assert plural[words[changed]] == form_of[pair.right] != form_of[pair.wrong] == plural[others[changed]]
        n_nouns = sum(one in plural for one in words)
        assert n_nouns == (1 if "simple" in pair.template else 2), pair
        within = pair.template.startswith("within")
        assert words[changed] == [one for one in words if one in plural][-1 if within else 0]


def test_what_came_next_comes_next(worded: Transformer) -> None:
    for pair in make_pairs(worded, "induction", 9):
        words, n = pair.prompt.split(), int(pair.template.split()[0])
        again = words[n:]
        assert words[: len(again)] == again and f" {words[len(again)]}" == pair.right
        assert f" {pair.counterfactual.split()[len(again)]}" == pair.wrong and pair.wrong.strip() not in words


def test_the_later_year_is_later_and_the_wrong_one_is_not(worded: Transformer) -> None:
    for pair in make_pairs(worded, "greater-than", 20):
        (year, other) = (re.findall(r"\d{4}", text)[0] for text in (pair.prompt, pair.counterfactual))
        century = re.findall(r"\d{2}$", pair.prompt)[0]
        assert year[:2] == other[:2] == century
        assert int(pair.wrong[0]) < int(year[2]) < int(pair.right[0])  # after it, and before it
        assert int(other[2]) < int(pair.wrong[0])  # after the other one both are right


def test_capitals_are_those_of_the_country(worded: Transformer) -> None:
    capital = {country: f" {city}" for country, city in CAPITALS}
    for pair in make_pairs(worded, "capitals", 9):
        ((one, other),) = [
            (a, b) for a, b in zip(pair.prompt.split(), pair.counterfactual.split(), strict=True) if a != b
        ]
        assert (capital[one], capital[other]) == (pair.right, pair.wrong)


def test_the_same_seed_makes_the_same_pairs_and_words_are_told_once() -> None:
    for some in (PHRASES, SEEN, PLAIN, [one for one, _ in NOUNS], [one for one, _ in CAPITALS]):
        assert len(some) == len(set(some))


def test_seeds(worded: Transformer) -> None:
    assert make_pairs(worded, "induction", 5, seed=1) == make_pairs(worded, "induction", 5, seed=1)
    assert make_pairs(worded, "induction", 5, seed=1) != make_pairs(worded, "induction", 5, seed=2)


def test_a_vocabulary_without_the_words_is_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = load_model(tiny_folder("gpt2"))
    tasks: list[TaskName] = ["agreement", "induction", "capitals"]
    for task in tasks:
        with pytest.raises(InputError, match=f"too few of the words of the task {task}"):
            make_pairs(model, task, 3)
    with pytest.raises(InputError, match="writes a year as 1 token"):
        make_pairs(load_model(chain(tmp_path)), "greater-than", 3)
    assert set(task_names()) == {*tasks, "greater-than"}

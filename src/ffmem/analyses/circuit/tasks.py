"""Pairs of prompts that differ in one word and so in what comes next: made by rule, in words that a model's vocabulary has.

These sets are ffmem's own. Papers have others, some under the same names; numbers on them are not comparable to the digit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from ffmem.analyses.circuit.words import CAPITALS, NOUNS, PHRASES, PLAIN, SEEN, VERBS
from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.models.transformer import Transformer

TaskName = Literal["agreement", "induction", "greater-than", "capitals"]
_TRIES = 60
"""Draws for each pair that is asked for, before a task is taken to have no more."""


@dataclass(frozen=True)
class Pair(Record):
    """Two prompts of one template."""

    template: str
    prompt: str
    counterfactual: str
    """The prompt with another word in it, after which ``wrong`` is what ``right`` is after the prompt, or neither is."""
    right: str
    """One token."""
    wrong: str
    """One token."""


Draw = Callable[[np.random.Generator], Pair | None]


def task_names() -> tuple[TaskName, ...]:
    """The tasks that there are."""
    names: tuple[TaskName, ...] = get_args(TaskName)
    return names


def make_pairs(model: Transformer, task: TaskName, n: int, *, seed: int = 0) -> list[Pair]:
    """Some pairs of each template of a task, all different.

    Args:
        model: whose words are used: those that are one token.
        task: which.
        n: of each template.
        seed: of the draws.

    Raises:
        InputError: the model's vocabulary has too few of the words.
    """
    templates = _MAKERS[task](model)
    pairs = []
    for number, draw in enumerate(templates):
        rng = np.random.default_rng((seed, number))
        some: dict[Pair, None] = {}
        for _ in range(_TRIES * n):
            pair = draw(rng)
            if pair is not None:
                some[pair] = None
            if len(some) == n:
                break
        pairs += list(some)
    if not pairs:
        raise _too_few(model, task)
    return pairs


def is_word(model: Transformer, text: str) -> bool:
    """Whether a text, its space included, is one token, and not the unknown one."""
    ids = model.tokenizer(text, add_special_tokens=False).input_ids
    return len(ids) == 1 and ids[0] != model.tokenizer.unk_token_id


def _too_few(model: Transformer, task: str) -> InputError:
    return InputError(
        f"the vocabulary of {model.facts.name} has too few of the words of the task {task}",
        "Expected words that are one token each",
        "Choose another task, or give pairs of your own: --task FILE.jsonl",
    )


def _agreement(model: Transformer) -> Iterator[Draw]:
    """The verb's number is that of the first noun, with another noun between in three of five templates."""
    nouns = [one for one in NOUNS if all(is_word(model, f" {form}") for form in one)]
    verbs = [one for one in VERBS if all(is_word(model, f" {form}") for form in one)]
    seen = [one for one in SEEN if is_word(model, f" {one}")]
    if len(nouns) < 4 or not verbs or not seen:
        raise _too_few(model, "agreement")

    def draw(template: str, form: str, rng: np.random.Generator) -> Pair:
        first, second = rng.choice(len(nouns), 2, replace=False)
        number, other = rng.integers(2), rng.integers(2)
        verb, phrase, saw = verbs[rng.integers(len(verbs))], PHRASES[rng.integers(len(PHRASES))], rng.choice(seen)
        words = {"attractor": nouns[second][other], "phrase": phrase, "saw": saw}
        prompt, counterfactual = (form.format(noun=nouns[first][which], **words) for which in (number, 1 - number))
        return Pair(template, prompt, counterfactual, f" {verb[number]}", f" {verb[1 - number]}")

    forms = {
        "simple": "The {noun}",
        "simple, reworded": "We know that the {noun}",
        "across a phrase": "The {noun} {phrase} the {attractor}",
        "across a relative clause": "The {noun} that the {attractor} {saw}",
        "within a relative clause": "The {attractor} that the {noun}",
    }
    for template, form in forms.items():
        yield lambda rng, template=template, form=form: draw(template, form, rng)  # type: ignore[misc]


def _induction(model: Transformer) -> Iterator[Draw]:
    """Words in random order, and the beginning of them once more: what came next comes next."""
    words = [one for one in PLAIN if is_word(model, f" {one}") and is_word(model, one)]  # one stands first
    if len(words) < 12:
        raise _too_few(model, "induction")

    def draw(length: int, shown: int, rng: np.random.Generator) -> Pair:
        *some, other = (words[one] for one in rng.choice(len(words), length + 1, replace=False))
        changed = [*some[:shown], other, *some[shown + 1 :]]
        prompt, counterfactual = (" ".join((*one, *some[:shown])) for one in (some, changed))
        return Pair(f"{length} words", prompt, counterfactual, f" {some[shown]}", f" {other}")

    for length in (6, 10):
        yield lambda rng, length=length: draw(length, length // 2, rng)  # type: ignore[misc]


def _greater_than(model: Transformer) -> Iterator[Draw]:
    """A span of years ends after it begins: the first digits of the later year that the model writes."""
    n = len(model.tokenizer("1745", add_special_tokens=False).input_ids)
    if n not in (2, 4):
        raise InputError(
            f"{model.facts.name} writes a year as {n} token{'' if n == 1 else 's'}",
            "Expected one token for each digit, or two of two digits each",
            "Choose another task, or give pairs of your own: --task FILE.jsonl",
        )
    forms = {
        "lasted": "The war lasted from the year {year} to the year {century}",
        "ran": "The company ran the mill from {year} until {century}",
    }

    def draw(template: str, form: str, rng: np.random.Generator) -> Pair:
        century = int(rng.integers(14, 20))
        low, wrong, middle, right = np.sort(rng.choice(np.arange(1, 10), 4, replace=False))
        unit = rng.integers(10)
        prompt, counterfactual = (form.format(year=f"{century}{tens}{unit}", century=century) for tens in (middle, low))
        end = "" if n == 4 else str(rng.integers(10))
        return Pair(template, prompt, counterfactual, f"{right}{end}", f"{wrong}{end}")

    for template, form in forms.items():
        yield lambda rng, template=template, form=form: draw(template, form, rng)  # type: ignore[misc]


def _capitals(model: Transformer) -> Iterator[Draw]:
    """The capital of one country against that of another."""
    known = [(country, capital) for country, capital in CAPITALS if is_word(model, f" {country}")]
    known = [one for one in known if is_word(model, f" {one[1]}")]
    if len(known) < 4:
        raise _too_few(model, "capitals")
    forms = {"is": "The capital of {country} is", "called": "The capital city of {country} is called"}

    def draw(template: str, form: str, rng: np.random.Generator) -> Pair:
        one, other = (known[number] for number in rng.choice(len(known), 2, replace=False))
        prompt, counterfactual = (form.format(country=country) for country, _ in (one, other))
        return Pair(template, prompt, counterfactual, f" {one[1]}", f" {other[1]}")

    for template, form in forms.items():
        yield lambda rng, template=template, form=form: draw(template, form, rng)  # type: ignore[misc]


_MAKERS: dict[str, Callable[[Transformer], Iterator[Draw]]] = {
    "agreement": _agreement,
    "induction": _induction,
    "greater-than": _greater_than,
    "capitals": _capitals,
}

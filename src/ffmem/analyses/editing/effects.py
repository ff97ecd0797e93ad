"""Whether an edit does what it is for: the new answer at the prompt and in other words, the old one at other subjects."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int

from ffmem.analyses.editing.asking import Asked, asked, log_probabilities
from ffmem.analyses.editing.facts import Fact
from ffmem.models.transformer import Transformer

Kind = Literal["prompt", "paraphrase", "neighbour"]
KINDS: tuple[Kind, ...] = ("prompt", "paraphrase", "neighbour")


@dataclass(frozen=True)
class Answers:
    """ln P of both answers at each prompt that is asked."""

    fact: Int[np.ndarray, "asked"]
    """The number of the fact that it belongs to."""
    kind: Int[np.ndarray, "asked"]
    """Of `KINDS`."""
    new: Float[np.ndarray, "asked"]
    old: Float[np.ndarray, "asked"]

    @property
    def holds(self) -> Float[np.ndarray, "asked"]:
        """1 where it is as it should be: new above old at prompts and paraphrases, old above new at neighbours; else 0."""
        towards = np.where(self.kind == KINDS.index("neighbour"), self.old - self.new, self.new - self.old)
        found: np.ndarray = (towards > 0).astype(np.float64)
        return found

    @property
    def magnitude(self) -> Float[np.ndarray, "asked"]:
        """P of what should be more probable less P of the other."""
        towards = np.exp(self.new) - np.exp(self.old)
        found: np.ndarray = np.where(self.kind == KINDS.index("neighbour"), -towards, towards)
        return found

    def of(self, kind: Kind) -> np.ndarray:
        """Which of the prompts are of a kind."""
        found: np.ndarray = self.kind == KINDS.index(kind)
        return found

    def rate(self, kind: Kind) -> float:
        """The share of prompts of a kind that are as they should be; NaN if there are none."""
        some = self.holds[self.of(kind)]
        return float(some.mean()) if len(some) else float("nan")

    @property
    def score(self) -> float:
        """The harmonic mean of the three shares; of those that there are prompts for."""
        return harmonic([self.rate(kind) for kind in KINDS])


def harmonic(shares: Iterable[float]) -> float:
    """The harmonic mean of shares, those left out that are NaN; 0 if one is 0."""
    known = [one for one in shares if one == one]
    if not known:
        return float("nan")
    return 0.0 if min(known) <= 0 else len(known) / sum(1 / one for one in known)


@dataclass(frozen=True)
class Questions:
    """All prompts of some facts with both answers, as a model reads them."""

    fact: Int[np.ndarray, "asked"]
    kind: Int[np.ndarray, "asked"]
    new: tuple[Asked, ...]
    old: tuple[Asked, ...]

    def answered(self, model: Transformer) -> Answers:
        """What the model, as it is now, makes of them.

        Cost: two passes of each prompt.
        """
        found = log_probabilities(model, [*self.new, *self.old]).double().numpy()
        return Answers(self.fact, self.kind, found[: len(self.new)], found[len(self.new) :])


def questions(model: Transformer, facts: Sequence[Fact], before: Sequence[str] = ()) -> Questions:
    """The prompts, paraphrases and neighbours of some facts.

    Args:
        model: whose tokens.
        facts: each with an old answer.
        before: a text put before each prompt of a fact, one a fact; none: nothing is.

    Raises:
        InputError: a prompt or an answer cannot be asked of this model.
    """
    numbers, kinds, new, old = [], [], [], []
    for number, fact in enumerate(facts):
        lists = {"prompt": (fact.prompt,), "paraphrase": fact.paraphrases, "neighbour": fact.neighbours}
        opening = before[number] if before else ""
        for kind, prompts in lists.items():
            for prompt in prompts:
                numbers.append(number)
                kinds.append(KINDS.index(kind))
                new.append(asked(model, prompt, fact.new, before=opening))
                old.append(asked(model, prompt, fact.old, before=opening))
    return Questions(np.array(numbers), np.array(kinds), tuple(new), tuple(old))


def changed_by_prefix(model: Transformer, facts: Sequence[Fact]) -> Answers:
    """The answers where the model is told the new one before each prompt, its weights as they are: what an edit has to beat.

    What is told is the prompt with the new answer behind it, or, of a model that is not causal, under its mask.
    """
    told = [f"{_filled(model, fact)}. " for fact in facts]
    with torch.no_grad():
        return questions(model, facts, told).answered(model)


def _filled(model: Transformer, fact: Fact) -> str:
    if model.facts.causal:
        return f"{fact.prompt} {fact.new.strip()}"
    return fact.prompt.replace(str(model.tokenizer.mask_token), fact.new.strip())

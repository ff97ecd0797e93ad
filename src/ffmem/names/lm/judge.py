"""Asks a judge about a name, one item a call, and keeps what it says beside what is true."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from jaxtyping import Bool, Float64

from ffmem.names.lm.client.reply import Reply
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.items import N_TOGETHER, Item, Items
from ffmem.names.lm.prompts import (
    MOST,
    detection_request,
    intruder_request,
    read_detection,
    read_intruder,
    read_simulation,
    simulation_request,
)

Measure = Literal["detection", "fuzzing", "simulation", "intruder"]
"""How a name is scored: by positions, by marked tokens, by the strength at every token; the last one scores the unit."""
MEASURES: tuple[Measure, ...] = get_args(Measure)


class Asked(Protocol):
    """A model that can be asked."""

    model: str

    def reply_to(self, request: Request) -> Reply:
        """What it answers, or why that is none."""


@dataclass(frozen=True)
class Verdicts:
    """What a judge says of marked positions, and what is true."""

    fires: Bool[np.ndarray, "n"]
    """What is true."""
    p: Float64[np.ndarray, "n"]
    """How likely the judge holds it; where it gave no answer, the opposite of the truth."""
    failed: Bool[np.ndarray, "n"]
    groups: tuple[str, ...]
    """"firing", "random" or "hard", of each."""
    tokens: tuple[int, ...]

    @property
    def correct(self) -> Bool[np.ndarray, "n"]:
        """Where it is right: half a chance is no yes."""
        found: np.ndarray = ((self.p > 0.5) == self.fires) & ~self.failed
        return found

    def against(self, group: str) -> "Verdicts":
        """Those of firing positions, and those of one group of others."""
        places = [i for i, one in enumerate(self.groups) if one in ("firing", group)]
        chosen = np.array(places, dtype=np.int64)
        return Verdicts(
            self.fires[chosen], self.p[chosen], self.failed[chosen],
            tuple(self.groups[i] for i in places), tuple(self.tokens[i] for i in places),
        )  # fmt: skip


@dataclass(frozen=True)
class Simulated:
    """The strengths that a judge gives the tokens of one sentence, and the coefficients."""

    said: Float64[np.ndarray, "n"]
    """0 everywhere where it gave no answer."""
    true: Float64[np.ndarray, "n"]
    group: Literal["top", "random"]
    failed: bool


@dataclass(frozen=True)
class Judgement:
    """All that a judge says of a name."""

    detection: Verdicts
    choosing: Verdicts
    fuzzing: Verdicts
    simulation: tuple[Simulated, ...]
    intruders: tuple[bool | None, ...]
    """Whether each was found; None where the judge gave no answer."""


def judge_requests(name: str, items: Items, seed: int = 0) -> Iterator[Request]:
    """All that a judge is asked of a name, in order."""
    for purpose, some in (("detection", items.detection), ("choosing", items.choosing), ("fuzzing", items.fuzzing)):
        for item in some:
            yield detection_request(name, item, purpose, seed)
    for sentence in items.simulation:
        yield simulation_request(name, sentence, seed)
    for intruder in items.intruders:
        yield intruder_request(intruder, seed)


def judge(asked: Asked, name: str, items: Items, seed: int = 0) -> Judgement:
    """What a judge says of a name, item by item."""
    replies = [asked.reply_to(request) for request in judge_requests(name, items, seed)]
    found = iter(replies)
    detection, choosing, fuzzing = (
        verdicts(some, [next(found) for _ in some]) for some in (items.detection, items.choosing, items.fuzzing)
    )
    simulation = []
    for sentence in items.simulation:
        said = read_simulation(next(found), len(sentence.tokens))
        true = np.maximum(np.array(sentence.coefficients), 0.0)
        simulation.append(
            Simulated(np.zeros(len(true)) if said is None else said / MOST, true, sentence.group, said is None)
        )
    intruders = []
    for intruder in items.intruders:
        place = read_intruder(next(found), N_TOGETHER)
        intruders.append(None if place is None else place == intruder.odd)
    return Judgement(detection, choosing, fuzzing, tuple(simulation), tuple(intruders))


def verdicts(items: Sequence[Item], replies: Sequence[Reply]) -> Verdicts:
    """What replies to `detection_request` say."""
    said = [read_detection(one) for one in replies]
    fires = np.array([one.fires for one in items], dtype=bool)
    p = np.array([float(not one.fires) if p is None else p for one, p in zip(items, said, strict=True)])
    return Verdicts(
        fires,
        p.astype(np.float64),
        np.array([one is None for one in said], dtype=bool),
        tuple(one.group for one in items),
        tuple(one.token for one in items),
    )

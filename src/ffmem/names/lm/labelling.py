"""A run: units and fakes are named layer by layer, then all names are judged among decoys, and what came of it is kept."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from ffmem.errors import InputError
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.controls import UNITS_PER_DECOY, Decoy, Task, layer_decoys, layer_tasks
from ffmem.names.lm.examples import Shown
from ffmem.names.lm.items import Items
from ffmem.names.lm.judge import Asked, Judgement, judge, judge_requests, verdicts
from ffmem.names.lm.known import Unit
from ffmem.names.lm.material import Material
from ffmem.names.lm.prompts import (
    LabelAnswer,
    detection_request,
    label_request,
    read_label,
    repair_request,
)
from ffmem.names.lm.run import Done, Failed, results
from ffmem.names.lm.scores import UnitScore, balanced_accuracy, unit_scores

Result = TypeVar("Result")
Work = TypeVar("Work")

Rule = Callable[[Unit, np.ndarray], "np.ndarray | None"]
"""Where a unit fires by its name by rule: of some token indices yes or no; None if it has no such name."""


@dataclass(frozen=True)
class LabelOptions:
    """What decides the outcome of a run, beside the index, the units and the models."""

    candidates: int = 1
    """Names of each unit, from different examples; the best on some items is the one that is reported, on others."""
    seed: int = 0


@dataclass(frozen=True)
class Named:
    """What the labeller says of a unit or a fake."""

    task: Task
    answers: tuple[LabelAnswer, ...]
    shown: tuple[int, ...]
    """Token indices."""
    n_calls: int


@dataclass(frozen=True)
class JudgeTask:
    """Names that are judged."""

    unit: Unit
    names: tuple[str, ...]
    task: Task
    """What got the names; of a decoy, the unit that it is held to."""
    decoy: Decoy | None = None

    @property
    def group(self) -> str:
        """In the report."""
        return self.task.group if self.decoy is None else f"decoy: {self.decoy}"


@dataclass(frozen=True)
class Judged:
    """What the judge says."""

    task: JudgeTask
    chosen: int
    """Which of the names."""
    scores: Mapping[str, UnitScore]
    """By measure; the judge's answers to one name."""
    rule_hard: float | None
    """The balanced accuracy of the unit's name by rule on the same firing and hard items."""
    kinds: Mapping[str, int]
    """How many of the hard items there are of each kind."""
    n_calls: int

    @property
    def hard(self) -> float | None:
        """The balanced accuracy on firing and hard items; None without items of both."""
        score = self.scores.get("detection_hard")
        return None if score is None else score.value


@dataclass
class Outcome:
    """What came of a run, layer by layer."""

    named: list[Named] = field(default_factory=list)
    judged: list[Judged] = field(default_factory=list)
    failed: list[tuple[str, Unit, str]] = field(default_factory=list)
    """Group, unit, and why nothing came of it."""
    stopped: str = ""
    """Why the run ended before its end; empty if it did not."""


class Labelling:
    """A run over some units of an index."""

    def __init__(
        self,
        material: Material,
        labeller: Asked,
        judge: Asked,
        options: LabelOptions = LabelOptions(),
        *,
        rule: Rule = lambda _unit, _tokens: None,
        threads: int = 1,
        halt: Callable[[], None] = lambda: None,
        listen: Callable[[str, int, int], None] = lambda _what, _done, _total: None,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Ask nothing yet.

        Args:
            material: makes what is shown and asked.
            labeller: names units.
            judge: judges names.
            options: what decides the outcome.
            rule: where units fire by their names by rule.
            threads: units at a time.
            halt: begins no more calls.
            listen: told how many units are done.
            say: told what a user should know at once.
        """
        self._material, self._labeller, self._judge, self._options, self._rule = (
            material, labeller, judge, options, rule,
        )  # fmt: skip
        self._threads, self._halt, self._listen, self._say = threads, halt, listen, say

    def run(self, units: Sequence[Unit]) -> Outcome:
        """Name and judge units; what was answered before the budget was spent or the server gone is there all the same."""
        found = Outcome()
        tasks = self.tasks(units)
        n_decoys = 0
        try:
            for number, of_layer in enumerate(tasks):
                named = self._name(of_layer, found, f"naming, layer {number + 1} of {len(tasks)}")
                names = {one.task.unit: one.answers[0].label for one in named if one.task.fake is None}
                rng = np.random.default_rng([self._options.seed, 28, number])
                decoys = layer_decoys(names, n_decoys, rng)
                n_decoys += len(decoys)
                judged = [JudgeTask(one.task.unit, _names(one), one.task) for one in named if any(_names(one))]
                judged += [JudgeTask(unit, (name,), Task(unit), kind) for unit, kind, name in decoys]
                order = rng.permutation(len(judged)).tolist()
                self._score([judged[i] for i in order], found, f"judging, layer {number + 1} of {len(tasks)}")
        except InputError as error:
            found.stopped = str(error)
        return found

    def tasks(self, units: Sequence[Unit]) -> list[list[Task]]:
        """The units of each layer with its fakes."""
        space = self._material.texts.index.cells
        by_place: dict[int, list[Unit]] = {}
        for unit in units:
            by_place.setdefault(space.place(unit.cell)[0], []).append(unit)
        found: list[list[Task]] = []
        n_fakes = 0
        for place, of_layer in sorted(by_place.items()):
            rng = np.random.default_rng([self._options.seed, 29, place])
            found.append(layer_tasks(of_layer, self._material.fakes, n_fakes, rng))
            n_fakes += sum(one.fake is not None for one in found[-1])
        return found

    def n_decoys(self, units: Sequence[Unit]) -> int:
        """How many names of others there will be, if each unit gets one of its own."""
        places = [self._material.texts.index.cells.place(unit.cell)[0] for unit in units]
        return sum(-(-places.count(place) // UNITS_PER_DECOY) for place in set(places))

    def requests(self, task: Task) -> list[Request]:
        """What will be asked about a unit or a fake, with a name in the place of one that is not known: for a plan."""
        found: list[Request] = []
        for draw in range(self._options.candidates):
            shown = self._material.shown(task, draw, look_up=False)
            if isinstance(shown, Failed):
                return []
            found.append(self._label_request(task, shown, draw))
        items = self._material.items(task, choosing=self._options.candidates > 1, look_up=False)
        if isinstance(items, Failed):
            return found
        chosen = Items(items.detection, (), items.fuzzing, items.simulation, items.intruders)
        found += judge_requests(_PLACEHOLDER, chosen, self._options.seed)
        for _ in range(self._options.candidates if self._options.candidates > 1 else 0):
            found += judge_requests(_PLACEHOLDER, Items(items.choosing), self._options.seed)
        return found

    def decoy_requests(self, unit: Unit) -> list[Request]:
        """The same of a decoy."""
        items = self._material.decoyed(unit, look_up=False)
        return [] if isinstance(items, Failed) else [*judge_requests(_PLACEHOLDER, items, self._options.seed)]

    def _name(self, tasks: Sequence[Task], found: Outcome, what: str) -> list[Named]:
        named: list[Named] = []
        for done in self._each(tasks, self._name_one, what):
            if done.result is None:
                found.failed.append((done.unit.group, done.unit.unit, done.failure))
            else:
                named.append(done.result)
                found.named.append(done.result)
        return named

    def _score(self, tasks: Sequence[JudgeTask], found: Outcome, what: str) -> None:
        for done in self._each(tasks, self._judge_one, what):
            if done.result is None:
                found.failed.append((done.unit.group, done.unit.unit, done.failure))
            else:
                found.judged.append(done.result)

    def _each(
        self, tasks: Sequence[Work], work: Callable[[Work], Result | Failed], what: str
    ) -> Iterator[Done[Work, Result]]:
        """What comes of each task; calls are halted, and it is said, only if not all of it came."""
        wanted = _Count(len(tasks))

        def halt() -> None:
            if wanted.n:
                self._halt()

        def say(message: str) -> None:
            if wanted.n:
                self._say(message)

        def listen(_: str, done: int, total: int) -> None:
            self._listen(what, done, total)

        for done in results(tasks, work, threads=self._threads, halt=halt, listen=listen, say=say):
            wanted.n -= 1
            yield done

    def _label_request(self, task: Task, shown: Shown, draw: int) -> Request:
        gated = self._material.texts.index.n_signs == 2
        return label_request(shown, task.unit.sign, gated=gated, seed=self._options.seed + draw)

    def _name_one(self, task: Task) -> Named | Failed:
        answers: dict[str, LabelAnswer] = {}
        tokens: dict[int, None] = {}
        why, n_calls = "", 0
        for draw in range(self._options.candidates):
            shown = self._material.shown(task, draw)
            if isinstance(shown, Failed):
                return shown
            request = self._label_request(task, shown, draw)
            reply = self._labeller.reply_to(request)
            answer, n_calls = read_label(reply), n_calls + 1
            if isinstance(answer, str) and not reply.failure:
                answer = read_label(self._labeller.reply_to(repair_request(request, reply, answer)))
                n_calls += 1
                if not isinstance(answer, str):
                    answer = LabelAnswer(answer.label, answer.kind, answer.but_not, repaired=True)
            if isinstance(answer, str):
                why = answer
                continue
            answers.setdefault(answer.label, answer)
            tokens |= dict.fromkeys(shown.tokens)
        if not answers:
            return Failed(f"the labeller's answer was of no use: {why}")
        # what is clear comes before what is not
        ordered = sorted(answers.values(), key=lambda one: one.kind == "unclear")
        return Named(task, tuple(ordered), (*tokens,), n_calls)

    def _judge_one(self, task: JudgeTask) -> Judged | Failed:
        seed = self._options.seed
        several = len(task.names) > 1
        items = (
            self._material.items(task.task, choosing=self._options.candidates > 1)
            if task.decoy is None
            else self._material.decoyed(task.unit)
        )
        if isinstance(items, Failed):
            return items
        chosen, n_calls = 0, 0
        if several:
            values = []
            for name in task.names:
                replies = [
                    self._judge.reply_to(detection_request(name, one, "choosing", seed)) for one in items.choosing
                ]
                of = verdicts(items.choosing, replies)
                values.append(np.nan_to_num(balanced_accuracy(of.correct, of.fires)))
                n_calls += len(replies)
            chosen = int(np.argmax(values))
        asked = Items(items.detection, (), items.fuzzing, items.simulation, items.intruders)
        judgement = judge(self._judge, task.names[chosen], asked, seed)
        n_calls += sum(1 for _ in judge_requests("", asked, seed))
        kinds: dict[str, int] = {}
        for item in items.detection:
            if item.group == "hard":
                kinds[item.why or "silent"] = kinds.get(item.why or "silent", 0) + 1
        rule = self._rule_hard(task, judgement)
        return Judged(task, chosen, unit_scores(judgement, seed), rule, kinds, n_calls)

    def _rule_hard(self, task: JudgeTask, judgement: Judgement) -> float | None:
        if task.decoy is not None or task.task.fake is not None:
            return None
        of = judgement.detection.against("hard")
        said = self._rule(task.unit, np.array(of.tokens, dtype=np.int64))
        return None if said is None else balanced_accuracy(said == of.fires, of.fires)


@dataclass
class _Count:
    n: int


_PLACEHOLDER = "words that name what such places have in common"
"""As long as a name."""


def _names(named: Named) -> tuple[str, ...]:
    """Those that are worth judging: what is unclear has none."""
    return tuple(one.label for one in named.answers if one.kind != "unclear")

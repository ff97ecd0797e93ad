"""The account of a run, against a world in which workers die and answers are lost."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ffmem.errors import ModelError
from ffmem.index.run.failures import MAX_ATTEMPTS
from ffmem.index.run.job import Task
from ffmem.index.run.ledger import Death, Ledger


@dataclass(frozen=True)
class Step:
    """A task: "sound", "deadly" (its worker always dies at it) or "wrong" (it always raises a ModelError)."""

    task_id: str
    kind: str = "sound"

    def describe(self) -> str:
        return f"step {self.task_id}"


def without(tasks: Sequence[Task]) -> str:
    return "--without " + ",".join(task.task_id for task in tasks)


def steps(text: str) -> list[Step]:
    return [Step(name) for name in text.split()]


def ids(tasks: Sequence[Task]) -> str:
    return " ".join(task.task_id for task in tasks)


def ledger_of(tasks: Sequence[Step], *arguments: Any, **named: Any) -> Ledger:
    """A ledger that knows all tasks."""
    ledger = Ledger(*arguments, **named)
    ledger.add(tasks)
    ledger.close()
    return ledger


def ready(ledger: Ledger, *slots: int) -> None:
    for slot in slots:
        ledger.started(slot)
        ledger.ready(slot)


def test_what_a_dead_worker_had_not_saved_is_handed_out_first_and_what_it_was_at_last() -> None:
    ledger = ledger_of(steps("a b c d e"), without)
    ready(ledger, 0)
    for name in "abc":
        assert ids(ledger.hand_out(0)) == name
        if name != "c":
            assert ledger.done(0).task_id == name
    ledger.saved(0, ["a"])
    death = ledger.died(0, "signal SIGKILL")
    assert (death.at, death.lost, death.given_up, death.done) == ("c", ("b", "c"), (), ())
    assert death.is_replaced and death.ends_run is None and ids(ledger.waiting) == "b d e c"


def test_what_was_saved_before_it_could_be_said_is_done() -> None:
    ledger = ledger_of(steps("a b"), without)
    ready(ledger, 0)
    ledger.hand_out(0)
    death = ledger.died(0, "signal SIGKILL", covered=["a"])
    assert (death.at, death.done, death.lost) == ("a", ("a",), ()) and ids(ledger.waiting) == "b"


def test_a_task_at_which_workers_die_again_and_again_is_given_up_and_named() -> None:
    ledger = ledger_of(steps("a"), without)
    for attempt in range(1, MAX_ATTEMPTS + 1):
        assert not ledger.is_over
        ready(ledger, 0)
        ledger.hand_out(0)
        assert ledger.died(0, "signal SIGKILL").given_up == (("a",) if attempt == MAX_ATTEMPTS else ())
    assert ledger.is_over
    with pytest.raises(ModelError, match=r"^step a failed 3 times: signal SIGKILL") as told:
        ledger.raise_if_given_up()
    assert "or leave out what fails: --without a" in told.value.mend


def test_a_model_error_is_no_accident() -> None:
    error = ModelError("not a number", "Expected one", "Use --dtype float32")
    ledger = ledger_of(steps("a b"), without, n_ahead=2)
    ready(ledger, 0)
    assert ids([*ledger.hand_out(0), *ledger.hand_out(0)]) == "a b"
    death = ledger.died(0, error.got, error=error)
    assert death.given_up == ("a",) and ids(ledger.waiting) == "b"  # the second one was not begun
    ready(ledger, 1)
    assert ids(ledger.hand_out(1)) == "b"


def test_what_failed_before_is_done_alone() -> None:
    ledger = ledger_of(steps("a b c d e f"), without, n_ahead=2)
    ready(ledger, 0)
    assert ids(ledger.hand_out(0)) == "a b"
    assert ledger.died(0, "signal SIGKILL").lost == ("a", "b")  # its last answers may be lost: either may be to blame
    assert ids(ledger.waiting) == "c d e f a b"
    ready(ledger, 0)
    assert ids(ledger.hand_out(0)) == "c d"
    for expected in ("e", "f", "", "a"):
        ledger.done(0)
        assert ids(ledger.hand_out(0)) == expected
    assert ids(ledger.waiting) == "b"


def test_a_task_is_not_to_blame_for_the_death_of_a_node() -> None:
    ledger = ledger_of(steps("a b"), without)
    for _ in range(3 * MAX_ATTEMPTS):
        ready(ledger, 0)
        assert ids(ledger.hand_out(0)) == "a"
        death = ledger.died(0, "node has died", blame=False)
        assert death.given_up == () and death.is_replaced and ids(ledger.waiting) == "a b"


def test_failures_in_a_row_end_the_run_while_others_wait() -> None:
    ledger = ledger_of(steps("a b c d e f g"), without)
    deaths: list[Death] = []
    while not deaths or deaths[-1].ends_run is None:
        ready(ledger, 0)
        ledger.hand_out(0)
        deaths.append(ledger.died(0, "signal SIGKILL"))
    assert "".join(death.at for death in deaths) == "abcdef"
    error = deaths[-1].ends_run
    assert error is not None and "something that they have in common" in error.expected and "step a" in error.got


def test_while_tasks_may_come_nobody_leaves_and_nothing_is_over() -> None:
    ledger = Ledger(without)
    ready(ledger, 0)
    assert not ledger.hand_out(0) and not ledger.is_over and not ledger.is_closed
    ledger.add(steps("a"))
    assert ids(ledger.hand_out(0)) == "a"
    ledger.done(0)
    assert not ledger.hand_out(0) and not ledger.save_now(0) and not ledger.is_over
    ledger.add(steps("b"))
    ledger.close()
    assert ids(ledger.hand_out(0)) == "b" and ledger.done(0).task_id == "b" and ledger.save_now(0)
    ledger.saved(0, ["a", "b"])
    assert ledger.is_over


def die_before_they_begin(ledger: Ledger, slot: int, node: str) -> Death:
    ledger.started(slot)
    ledger.placed(slot, node)
    return ledger.died(slot, "out of memory", where=f"host {node}")


def test_a_node_on_which_no_worker_begins_is_given_up_and_the_last_one_ends_the_run() -> None:
    ledger = ledger_of(steps("a b"), without, several_nodes=True)
    ready(ledger, 9)
    deaths = [die_before_they_begin(ledger, slot, "odd") for slot in range(MAX_ATTEMPTS)]
    assert [death.is_replaced for death in deaths] == [True, True, False]
    assert all(death.ends_run is None for death in deaths)
    ledger.died(9, "node has died", blame=False)
    death = die_before_they_begin(ledger, 4, "odd")
    assert death.ends_run is not None and "before they could begin, last on host odd" in death.ends_run.got


def test_workers_that_die_as_they_save_end_the_run_unless_one_lives() -> None:
    for n_alive, ends in ((0, True), (1, False)):
        ledger = ledger_of(steps("a"), without)
        for attempt in range(MAX_ATTEMPTS):
            ready(ledger, 0)
            ledger.hand_out(0)
            ledger.done(0)
            assert ledger.save_now(0) and not ledger.save_now(0)
            if attempt == 1 and n_alive:
                ledger.saved_at_end(0)
            death = ledger.died(0, "signal SIGKILL")
        assert (death.ends_run is not None) is ends
        assert death.ends_run is None or "while they wrote their state, last worker 0" in death.ends_run.got


@dataclass
class Actor:
    """What is true of a worker, whether or not the ledger has heard of it."""

    given: list[Step]
    saved: set[str]
    """What its state file covers."""
    answers: list[str] = field(default_factory=list)
    """Tasks it has done and not said so."""
    unsaved: set[str] = field(default_factory=set)
    is_ready: bool = False


class World(RuleBasedStateMachine):
    """Workers that take, do, save, answer and die as they like; at the end they die only at what is deadly."""

    @initialize(
        kinds=st.lists(st.sampled_from(["sound"] * 4 + ["deadly", "wrong"]), max_size=14),
        n_workers=st.integers(1, 3),
        n_ahead=st.integers(1, 2),
        several_nodes=st.booleans(),
    )
    def begin(self, kinds: list[str], n_workers: int, n_ahead: int, several_nodes: bool) -> None:
        self.steps: dict[str, Step] = {}
        self.later = [Step(str(number), kind) for number, kind in enumerate(kinds)]
        """Not known yet."""
        self.ledger = Ledger(without, n_workers, n_ahead, several_nodes)
        self.actors: dict[int, Actor] = {}
        self.given_up: set[str] = set()
        self.attempts: dict[str, int] = {}
        self.ended: ModelError | None = None
        self.saved_and_left: set[str] = set()
        """By workers whose node was given up."""
        for slot in range(n_workers):
            self.start(slot, set())

    def start(self, slot: int, saved: set[str]) -> None:
        self.actors[slot] = Actor([], saved)
        self.ledger.started(slot)

    def choose(self, number: int) -> int:
        return sorted(self.actors)[number % len(self.actors)]

    def runs(self) -> bool:
        return self.ended is None and bool(self.actors)

    @rule(n=st.integers(0, 9))
    def know(self, n: int) -> None:
        """More tasks become known, and then that there are no more."""
        known, self.later = self.later[:n], self.later[n:]
        self.steps |= {step.task_id: step for step in known}
        self.ledger.add(known)
        if not self.later and not known:
            self.ledger.close()

    @precondition(runs)
    @rule(number=st.integers(0, 2))
    def take(self, number: int) -> None:
        slot = self.choose(number)
        actor = self.actors[slot]
        if not actor.is_ready:
            actor.is_ready = True
            self.ledger.ready(slot)
        actor.given.extend(self.steps[task.task_id] for task in self.ledger.hand_out(slot))

    @precondition(runs)
    @rule(number=st.integers(0, 2), saves=st.booleans())
    def do(self, number: int, saves: bool) -> None:
        """It does a task, and may save, or fails at it."""
        slot = self.choose(number)
        actor = self.actors[slot]
        step = next((step for step in actor.given if step.task_id not in actor.answers), None)
        if step is None:
            return
        if step.kind == "deadly":
            self.die(slot)
        elif step.kind == "wrong":
            self.answer(number, 99)
            error = ModelError("not a number", "Expected one", "Use --dtype float32")
            self.die(slot, error=error)
        else:
            actor.unsaved.add(step.task_id)
            actor.answers.append(step.task_id)
            if saves:
                self.write(actor)

    @precondition(runs)
    @rule(number=st.integers(0, 2), n=st.integers(1, 2))
    def answer(self, number: int, n: int) -> None:
        """The ledger hears of the first of what it has done, and of what is saved."""
        slot = self.choose(number)
        actor = self.actors[slot]
        for task_id in actor.answers[:n]:
            assert self.ledger.done(slot).task_id == task_id == actor.given.pop(0).task_id
        del actor.answers[:n]
        self.ledger.saved(slot, actor.saved)

    @precondition(runs)
    @rule(number=st.integers(0, 2))
    def save_at_end(self, number: int) -> None:
        slot = self.choose(number)
        if self.ledger.save_now(slot):
            assert self.ledger.is_closed
            self.write(self.actors[slot])
            self.ledger.saved(slot, self.actors[slot].saved)
            self.ledger.saved_at_end(slot)

    @precondition(runs)
    @rule(number=st.integers(0, 2), blame=st.booleans())
    def die_anywhere(self, number: int, blame: bool) -> None:
        self.die(self.choose(number), blame=blame)

    def write(self, actor: Actor) -> None:
        actor.saved |= actor.unsaved
        actor.unsaved.clear()

    def die(self, slot: int, blame: bool = True, error: ModelError | None = None) -> None:
        actor = self.actors.pop(slot)
        death = self.ledger.died(slot, "it died", actor.saved, blame=blame, error=error)
        assert not set(death.lost) & actor.saved and set(death.done) <= actor.saved
        assert set(death.given_up) <= set(death.lost)
        for task_id in death.given_up:
            assert error is not None or self.attempts.get(task_id, 0) + 1 >= MAX_ATTEMPTS
        if blame:
            for step in actor.given if error is None else actor.given[:1]:
                self.attempts[step.task_id] = self.attempts.get(step.task_id, 0) + 1
        self.given_up |= set(death.given_up)
        self.ended = death.ends_run
        if self.ended is None and death.is_replaced:
            self.start(slot, actor.saved)
        elif self.ended is None:
            self.saved_and_left |= actor.saved

    @precondition(lambda self: not self.runs())
    @rule()
    def rest(self) -> None:
        """It has ended: there is nothing left to happen."""

    @invariant()
    def every_task_is_in_one_place(self) -> None:
        if not hasattr(self, "ledger"):
            return
        places = [task.task_id for task in self.ledger.waiting]
        for slot, actor in self.actors.items():
            unsaved = {task.task_id for task in self.ledger.unsaved(slot)}
            places.extend(unsaved | actor.saved)  # what is saved may not be heard of yet
        places.extend(self.given_up)
        assert len(places) == len(set(places))
        if self.ended is None:
            assert set(places) | self.saved_and_left == set(self.steps)

    def teardown(self) -> None:
        """Nothing dies any more but at what is deadly: the run ends, and everything is covered or named."""
        if not hasattr(self, "ledger"):
            return
        for n in (99, 0):
            self.know(n)
        n_turns = 0
        while self.ended is None and not self.ledger.is_over:
            n_turns += 1
            assert n_turns < 200, "it does not end"
            for number in range(len(self.actors)):
                for turn in (self.take, self.do_and_answer, self.save_at_end):
                    if self.ended is None:
                        turn(number)
                        self.every_task_is_in_one_place()
        if self.ended is not None:
            return
        covered = set().union(*(actor.saved for actor in self.actors.values()), self.saved_and_left)
        assert covered | self.given_up == set(self.steps) and not covered & self.given_up
        assert {name for name, step in self.steps.items() if step.kind != "sound"} <= self.given_up
        if not self.given_up:
            self.ledger.raise_if_given_up()
            return
        with pytest.raises(ModelError) as told:
            self.ledger.raise_if_given_up()
        named = told.value.mend.partition("--without ")[2].split(",")
        assert set(named) == self.given_up

    def do_and_answer(self, number: int) -> None:
        self.do(number, saves=False)
        if self.ended is None:
            self.answer(number, 99)


TestWorld = World.TestCase
TestWorld.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)

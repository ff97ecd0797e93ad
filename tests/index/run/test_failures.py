"""What an account of failures says in the end."""

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from ffmem.errors import InputError, ModelError
from ffmem.index.run.failures import LEAST_IN_A_ROW, MAX_ATTEMPTS, Failures, ends_run, reason
from ffmem.index.run.job import Task


@dataclass(frozen=True)
class Step:
    task_id: str

    def describe(self) -> str:
        return f"step {self.task_id}"


def without(tasks: Sequence[Task]) -> str:
    return f"--without {len(tasks)}"


WRONG = ModelError("not a number", "Expected one", "Use --dtype float32")


def test_a_task_is_given_up_when_it_has_failed_so_often_and_at_once_where_the_numbers_are_wrong() -> None:
    failures, step = Failures(without), Step("a")
    assert [failures.failed([step], "it died") for _ in range(MAX_ATTEMPTS)] == [[]] * (MAX_ATTEMPTS - 1) + [[step]]
    assert failures.failed([Step("b")], "not a number", WRONG) == [Step("b")]
    with pytest.raises(ModelError, match=r"^step a failed 3 times: it died; step b failed: not a number\."):
        failures.raise_if_given_up()


def test_a_message_names_ten_tasks_and_counts_the_rest() -> None:
    failures = Failures(without)
    for number in range(13):
        failures.failed([Step(str(number))], "not a number", WRONG)
    with pytest.raises(ModelError) as told:
        failures.raise_if_given_up()
    assert told.value.got.count("failed") == 10 and told.value.got.endswith("; and 3 more")
    assert told.value.mend == "Use --dtype float32; or leave out what fails: --without 13"


@pytest.mark.parametrize(("n_workers", "most"), [(1, LEAST_IN_A_ROW), (5, 10)])
def test_so_many_failures_in_a_row_are_hopeless_while_others_wait(n_workers: int, most: int) -> None:
    failures, waiting = Failures(without, n_workers), [Step("last")]
    for number in range(most - 1):
        failures.failed([Step(str(number))], "it died")
        assert failures.hopeless(waiting) is None
    failures.failed([Step("one more")], "it died")
    assert failures.hopeless([]) is None and failures.hopeless([Step("0")]) is None  # those have failed themselves
    assert failures.hopeless(waiting) is not None
    failures.done(Step("another"))
    assert failures.hopeless(waiting) is None


def test_a_task_done_again_is_no_sign_that_others_can_be() -> None:
    failures, again = Failures(without), Step("again")
    for number in range(LEAST_IN_A_ROW):
        failures.done(again)
        failures.failed([Step(str(number))], "it died")
    failures.done(again)
    assert failures.hopeless([Step("last")]) is not None


def test_a_place_is_given_up_after_deaths_in_a_row() -> None:
    failures = Failures(without)
    assert [failures.died("node") for _ in range(MAX_ATTEMPTS)] == [False] * (MAX_ATTEMPTS - 1) + [True]
    failures.survived("node")
    assert not failures.died("node") and not failures.died("other")


def test_only_errors_that_are_not_the_tasks_end_a_run() -> None:
    full = InputError("the disk is full", "Expected room", "Make some")
    assert ends_run(full, at_task=True) and ends_run(full, at_task=False)
    assert ends_run(WRONG, at_task=False) and not ends_run(WRONG, at_task=True)
    assert not ends_run(ZeroDivisionError(), at_task=False)


def test_a_reason_is_one_line() -> None:
    assert reason(WRONG) == "not a number"
    assert reason(RuntimeError("a worker process failed:\nTraceback\n  ZeroDivisionError: a bug\n")) == (
        "ZeroDivisionError: a bug"
    )
    assert reason(ValueError()) == "ValueError"

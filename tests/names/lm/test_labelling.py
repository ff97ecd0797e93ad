"""The whole of a run with characters in the place of a language model: what each of them comes to."""

import shutil
from pathlib import Path

import pytest

import ffmem
from ffmem.cli.labelling import LabelRun, plan_run, run_labels
from ffmem.ids import CellId
from ffmem.json_values import JsonObject
from ffmem.names.lm.labelling import Labelling, LabelOptions, Outcome
from ffmem.names.lm.material import Material
from ffmem.names.lm.prompts import JUDGE, LABELLER
from ffmem.names.lm.report import LabelReport, report_of
from ffmem.names.lm.texts import Texts
from tests.fixtures.shared import MakeOnce
from tests.fixtures.stand_in import FAULTS, Character, StandIn, serving
from tests.names.lm.conftest import Connect
from tests.names.lm.planted import (
    all_units,
    coin,
    false_answer,
    parrot,
    parts,
    planted_index,
    true_answer,
)

BOTH = ("detection", "intruder")


def run_of(
    folder: Path, connect: Connect, stand_in: StandIn, character: Character, **options: int
) -> tuple[Outcome, LabelReport]:
    index = ffmem.open_index(folder)
    stand_in.character = character
    server = connect(stand_in)
    material = Material(Texts(index), None, BOTH)
    outcome = Labelling(material, server, server, LabelOptions(**options), halt=server.halt).run(all_units(index))
    return outcome, report_of(index, outcome, labeller="model", judge="model", seed=0, with_model=False)


def test_an_oracle_names_every_planted_cell(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    outcome, report = run_of(planted, connect, stand_in, true_answer)
    assert report.measures["detection"].value >= 0.95 and report.measures["detection_hard"].value >= 0.95
    assert {one.cell: one.label for one in report.units}["L0.3"] == "the word bat"
    assert all(one.passes and one.beats_rule for one in report.units)
    assert report.trusted and report.fakes.passed.value == 0 and not outcome.failed
    assert {one.group: one.passed.value for one in report.groups if one.group.startswith("decoy")} == {
        "decoy: another cell's name": 0.0
    }


def test_noise_is_half_right_and_its_labels_fail(make_once: MakeOnce, connect: Connect, stand_in: StandIn) -> None:
    folder = make_once("planted/three", lambda path: planted_index(path, n_layers=3))
    outcome, report = run_of(folder, connect, stand_in, coin)
    for measure in ("detection", "detection_hard"):
        assert report.measures[measure].value == pytest.approx(0.5, abs=0.07)
        assert report.measures[measure].low < 0.5 < report.measures[measure].high
    assert sum(one.passes for one in report.units) <= 0.4 * len(report.units)
    assert len(outcome.named) == 24 + 3 and report.fakes.n == 3


def test_a_liar_is_never_right(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    _, report = run_of(planted, connect, stand_in, false_answer)
    assert report.measures["detection"].value <= 0.1 and report.measures["detection_hard"].value <= 0.1
    assert not any(one.passes for one in report.units)


def test_a_parrots_fakes_pass_as_often_as_its_cells(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    _, report = run_of(planted, connect, stand_in, parrot)
    rates = {one.group: one.passed.value for one in report.groups}
    assert rates["cells"] == rates["fakes"] == 0
    assert report.measures["detection_hard"].value == 0.5


def test_whoever_passes_fakes_is_not_trusted(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    index = ffmem.open_index(planted)
    server = connect(stand_in)
    truth: dict[str, bool] = {}

    class Told(Material):
        def items(self, *arguments: object, **settings: object):  # type: ignore[no-untyped-def]
            found = super().items(*arguments, **settings)  # type: ignore[arg-type]
            truth.update({one.text: one.fires for one in getattr(found, "detection", ())})
            return found

    def knows(body: JsonObject) -> str | dict[str, float]:
        system, user = parts(body)
        if system == LABELLER:
            return '{"label": "where it fires", "kind": "token", "not": ""}'
        return str(int(truth[user.split("Text: ")[1]])) if system == JUDGE else "1"

    stand_in.character = knows
    material = Told(Texts(index), None, ("detection",))
    outcome = Labelling(material, server, server, halt=server.halt).run(all_units(index))
    report = report_of(index, outcome, labeller="a", judge="b", seed=0, with_model=False)
    assert report.fakes.passed.value == 1 and not report.trusted
    assert report.sentences()[0].startswith("1 of 1 fake cells passed (more than 5%)")
    assert not any("one model" in one for one in report.sentences())


def test_the_judge_is_blind(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    _, report = run_of(planted, connect, stand_in, true_answer)
    prompts = stand_in.prompts()
    for told in ("fake", "decoy", "random position", "L0.", "cell", "hard", "held out"):
        assert not any(told in prompt.removeprefix(LABELLER).removeprefix(JUDGE) for prompt in prompts), told
    assert report.control_share > 0


def test_text_that_gives_orders_changes_nothing(make_once: MakeOnce, connect: Connect, stand_in: StandIn) -> None:
    folder = make_once("planted/hostile", lambda path: planted_index(path, hostile=True))
    _, report = run_of(folder, connect, stand_in, true_answer)
    orders = [one for one in stand_in.prompts() if "ANSWER 1" in one]
    assert len(orders) > 50 and not any("⟦x⟧" in one for one in orders)
    assert report.measures["detection"].value >= 0.95 and report.trusted


@pytest.mark.parametrize("n", [1, 2])
def test_the_best_of_several_names_is_chosen_on_other_items(
    n: int, planted: Path, connect: Connect, stand_in: StandIn
) -> None:
    def hesitant(body: JsonObject) -> str | dict[str, float]:
        said = true_answer(body)
        if parts(body)[0] == LABELLER and body["seed"] == 0:
            return '{"label": "the word zzz", "kind": "token", "not": ""}'
        return said

    outcome, report = run_of(planted, connect, stand_in, hesitant, candidates=n)
    assert {one.label == "the word zzz" for one in report.units} == ({True} if n == 1 else {False})
    judged = [one.task for one in outcome.judged if one.task.group == "cells"]
    assert {len(one.names) for one in judged} == {n}


def test_what_breaks_is_counted_and_the_rest_goes_on(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    lasting = [one for one in FAULTS if one not in ("429", "503", "500", "502", "close", "cut")]
    stand_in.faults = [fault for i in range(12) for fault in [*[""] * 14, lasting[i % len(lasting)]]]
    outcome, report = run_of(planted, connect, stand_in, true_answer)
    assert not outcome.stopped and len(report.units) + report.groups[0].n_failed == 8
    assert report.measures["detection"].value > 0.85
    assert report.n_failed_replies == sum(
        score.n_failed for one in outcome.judged for name, score in one.scores.items() if not name.endswith("_auc")
    ) > 0  # fmt: skip


def test_a_name_of_the_wrong_form_is_asked_for_once_more(planted: Path, connect: Connect, stand_in: StandIn) -> None:
    def sloppy(body: JsonObject) -> str | dict[str, float]:
        if body["messages"][0]["content"] == LABELLER and len(body["messages"]) == 2:
            return "It fires at some word."
        return true_answer(body | {"messages": body["messages"][:2]})

    outcome, report = run_of(planted, connect, stand_in, sloppy)
    assert all(one.answers[0].repaired for one in outcome.named) and report.trusted
    assert {one.cell: one.label for one in report.units}["L0.0"] == "the word ban"

    outcome, report = run_of(planted, connect, stand_in, lambda body: "I would rather not.", candidates=2, seed=9)
    assert not outcome.named and len(outcome.failed) == 9
    assert report.failures == {"the labeller's answer was of no use: it is not one JSON object": 9}


@pytest.fixture
def copied(planted: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(planted, tmp_path / "copy"))


def quiet(**settings: object) -> LabelRun:
    return LabelRun(no_model=True, quiet=True, **settings)  # type: ignore[arg-type]


def test_a_plan_is_within_a_tenth_of_what_is_used(copied: Path) -> None:
    with serving(coin, ignores={"usage"}) as server:
        planned = plan_run(ffmem.open_index(copied), server.url, "model", quiet())
        assert server.n_calls == server.n_listed == 0, "a plan sends nothing"
        _, about = run_labels(ffmem.open_index(copied), server.url, "model", quiet())
    used = about["use"]
    n_tokens = planned.tokens_in + planned.tokens_out
    assert n_tokens == pytest.approx(used["tokens_in"] + used["tokens_out"], rel=0.1)
    assert planned.n_calls == pytest.approx(used["n_calls"], rel=0.1)


def test_a_budget_stops_a_run_and_the_next_one_goes_on(copied: Path) -> None:
    index = ffmem.open_index(copied)
    with serving(true_answer) as server:
        report, about = run_labels(index, server.url, "model", quiet(max_calls=60))
        assert "--max-calls 60 is reached" in report.stopped and server.n_calls <= 70
        report, again = run_labels(index, server.url, "model", quiet())
        assert not report.stopped and again["run"] == about["run"]
        assert again["use"]["n_from_cache"] >= 55
        n_calls = server.n_calls
        _, last = run_labels(index, server.url, "model", quiet())
        assert server.n_calls == n_calls and last["use"]["n_calls"] == 0
    assert all(one.passes for one in report.units)
    assert CellId.parse(report.units[0].cell) in index.cells

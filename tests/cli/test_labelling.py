"""What `ffmem label` is told, and what it refuses before anything is sent."""

import json
import shutil
import sqlite3
from pathlib import Path
from typing import Any

import pytest

import ffmem
from ffmem import Index
from ffmem.cli.labelling import LabelRun, check_index, plan_run, run_labels, units_of
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.names.lm.known import Unit
from tests.fixtures.made_index import Document, Layer, make_index
from tests.fixtures.stand_in import serving
from tests.names.lm.planted import planted_index, true_answer


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return planted_index(tmp_path_factory.mktemp("planted") / "index")


def quiet(**settings: object) -> LabelRun:
    return LabelRun(no_model=True, quiet=True, **settings)  # type: ignore[arg-type]


def test_which_units(index: Index, tmp_path: Path) -> None:
    assert units_of(index, quiet(cells="L0.6,L0.1-2")) == [Unit(CellId(0, i)) for i in (1, 2, 6)]
    drawn = units_of(index, quiet(per_layer=3))
    assert len(drawn) == 3 and drawn == units_of(index, quiet(per_layer=3)) != units_of(
        index, quiet(per_layer=3, seed=5)
    )
    table = [[1.0, -1.0], [-2.0, 2.0]] * 3
    documents = [Document([["a"]])] * 6
    gated = make_index(tmp_path / "gated", documents, [Layer(table)], gated=True)
    assert [one.sign for one in units_of(gated, quiet(cells="L0"))] == [1, -1, 1, -1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"cells": "L0.99"}, "L0.99"),
        ({"max_money": 1.0}, "--max-money is given, but no price is"),
        ({"price_in": -1.0}, "--price-in is -1"),
        ({"key_variable": "NO_SUCH_KEY"}, "NO_SUCH_KEY is not set"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_sent(
    index: Index, settings: dict[str, object], message: str
) -> None:
    with serving(true_answer) as server:
        with pytest.raises(InputError, match=message):
            run_labels(index, server.url, "model", quiet(**settings))
        assert server.n_calls == server.n_listed == 0


def test_text_goes_to_no_other_machine_unless_it_may(index: Index) -> None:
    with pytest.raises(InputError, match=r"example\.com is another machine: 22 pieces of the corpus' text") as error:
        run_labels(index, "https://example.com/v1", "model", quiet(cells="L0.1"))
    assert "--send-text" in str(error.value)
    assert plan_run(index, "https://example.com/v1", "model", quiet(cells="L0.1")).n_units == 1


def test_an_index_needs_a_sample_and_documents(tmp_path: Path) -> None:
    few = make_index(tmp_path / "few", [Document([["a", "b"]])] * 11, [Layer([[1.0]] * 22)], sample=2)
    with pytest.raises(InputError, match="11 indexed documents"):
        check_index(few)
    without = make_index(tmp_path / "without", [Document([["a", "b"]])] * 12, [Layer([[1.0]] * 24)])
    with pytest.raises(InputError, match="without a sample"):
        check_index(without)


def test_what_is_told_of_a_run_and_no_key(index: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FFMEM_API_KEY", "sk-very-secret")
    folder = shutil.copytree(index.folder, tmp_path / "copy")
    copy = ffmem.open_index(folder)
    with serving(true_answer) as server:
        report, about = run_labels(copy, server.url, "model", quiet(cells="L0.1-3", judge_model="other"))
        assert {one["model"] for one in server.bodies} == {"model", "other"}
    assert (report.labeller, report.judge) == ("model", "other") and len(report.units) == 3
    told: Any = _runs(folder)[about["run"]]
    assert told["server"] == server.url and told["model"] == "model" and told["judge_model"] == "other"
    assert told["use"]["n_calls"] == about["use"]["n_calls"] and told["prompts"]["judge"] and told["version"]
    assert set(told["capabilities"]) == {"model", "other"}
    for file in folder.rglob("*.sqlite*"):
        assert b"sk-very-secret" not in file.read_bytes(), file


def _runs(folder: Path) -> dict[int, dict[str, object]]:
    with sqlite3.connect(folder / "labels.sqlite") as database:
        return {number: json.loads(content) for number, content in database.execute("SELECT id, content FROM runs")}

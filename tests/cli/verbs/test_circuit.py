"""Circuits from the command line, as a user finds them."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from ffmem import Index
from tests.analyses.circuit.toy import words_of
from tests.fixtures.programs import ffmem

TEXT = "the cat sat on the"


def test_an_index_is_asked_by_its_own_model_and_says_what_cells_are(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    folder = index_of("gpt2").folder
    found = json.loads(ffmem("circuit", folder, TEXT, "--threshold", 0.05, "--json")[0])
    other = json.loads(ffmem("explain", tiny_folder("gpt2"), TEXT, "--json")[0])
    assert found["score"] == pytest.approx(other["score"], abs=1e-4) and found["target"] == other["target"]
    cells = [one for one in found["nodes"] if one["kind"] == "cell"]
    assert cells and any(one["cell"]["promoted"] for one in cells)
    assert all(abs(one["worth"]) >= 0.05 * abs(found["score"]) for one in found["nodes"])


def test_every_form_is_written(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny_folder("gpt2")
    told, _ = ffmem("circuit", model, TEXT, "--out", tmp_path / "graph.json", "--nodes", 10)
    assert f"written: {tmp_path / 'graph.json'}" in told and "every cut of the model to within" in told
    graph = json.loads((tmp_path / "graph.json").read_text())
    assert len(graph["nodes"]) == 11 and graph["nodes"][-1]["feature_type"] == "logit"
    ffmem("circuit", model, TEXT, "--out", tmp_path / "graph.svg", "--heads", "through")
    assert ElementTree.parse(tmp_path / "graph.svg").getroot().tag.endswith("svg")
    ffmem("circuit", model, TEXT, "--out", tmp_path / "graph.html", "--rule", "ig")
    assert "integrated gradients" in (tmp_path / "graph.html").read_text()


def test_pairs_of_a_task_and_of_a_file(tmp_path: Path) -> None:
    model, pairs = words_of(tmp_path / "model"), tmp_path / "pairs.jsonl"
    told, _ = ffmem("circuit", model, "--task", "induction", "--pairs", 8, "--out", pairs)
    assert "6 words: " in told and f"written: {pairs}" in told
    written = [json.loads(line) for line in pairs.read_text().splitlines()]
    found = json.loads(ffmem("circuit", model, "--task", pairs, "--json")[0])
    assert (found["n"], found["n_wrong"], found["share_right"]) == (len(written), 0, 1.0)
    assert [one for group in found["groups"] for one in group["pairs"]] == written
    assert min(score for group in found["groups"] for score in group["scores"]) > 0


def test_what_does_not_fit_is_told(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = index_of("gpt2").folder
    for arguments, told in (
        ((TEXT, "--out", tmp_path / "graph.png"), "ends with .json or .html or .svg"),
        ((TEXT, "--out", tmp_path / "nowhere" / "graph.json"), "nowhere"),
        ((TEXT, "--index", folder), "Expected no --index"),
        ((), "neither a text nor a task"),
        ((TEXT, "--task", "agreement"), "both a text and a task"),
        (("--task", "agreeing"), "there is no task 'agreeing'"),
        (("--task", "agreement", "--out", tmp_path / "x.json"), "ends with .jsonl"),
        ((TEXT, "--threshold", "7"), "threshold is 7"),
        ((TEXT, "--target", "no such words"), "is "),
    ):
        _, wrong = ffmem("circuit", folder, *arguments, expect=2)
        assert told in wrong, (arguments, wrong)

"""Predictions taken apart and changed from the command line, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.programs import ffmem

TEXT = "the cat sat on the"


def test_an_explanation_adds_up_and_names_its_cells(
    tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path
) -> None:
    model, folder = tiny_folder("gpt2"), tmp_path / "i"
    ffmem("index", model, corpus, "--out", folder, "--max-tokens", 2000, "--quiet")
    found = json.loads(ffmem("explain", model, TEXT, "--index", folder, "--limit", 3, "--json")[0])
    total = found["embedding"] + found["constant"]
    total += sum(one["attention"] + one["cells"] + one["bias"] for one in found["layers"])
    assert total == pytest.approx(found["score"], abs=1e-4) and found["rank"] == 0
    assert len(found["cells"]) == 3
    shares = [abs(one["share"]) for one in found["cells"]]
    assert shares == sorted(shares, reverse=True) and shares[0] > 0
    shown, _ = ffmem("explain", model, TEXT, "--index", folder, "--limit", 3)
    assert all(one["cell"]["cell"] in shown for one in found["cells"])
    assert f"score {found['score']:.4f}" in shown and "it differs from the score by" in shown


def test_targets_are_one_token(tiny_folder: Callable[[str], Path]) -> None:
    _, wrong = ffmem("explain", tiny_folder("gpt2"), TEXT, "--target", "the cat sat", expect=2)
    assert "the cat sat" in wrong and "token" in wrong


def test_what_a_changed_cell_does(tiny_folder: Callable[[str], Path]) -> None:
    model = tiny_folder("gpt2")
    same = json.loads(ffmem("intervene", model, TEXT, "L0.3*1", "--json")[0])
    assert same["divergence"] == pytest.approx(0, abs=1e-6) and same["continued"] == same["continued_changed"]
    other = json.loads(ffmem("intervene", model, TEXT, "L0.3=50", "L1.2*0", "--where", "last", "--new", 3, "--json")[0])
    assert other["divergence"] > 1e-3 and other["changes"] == ["L0.3=50", "L1.2*0"]
    shown, _ = ffmem("intervene", model, TEXT, "L0.3=50", "--new", 3)
    assert "L0.3=50" in shown and "as it is" in shown and "changed" in shown
    assert "for scale" in shown and "nearest in strength: L0." in shown and "median of 8 random draws" in shown
    assert len(other["controls"]["random"]) == 8 and other["controls"]["own"]["changes"] == ["L0.3=50", "L1.2*0"]
    without, _ = ffmem("intervene", model, TEXT, "L0.3=50", "--new", 0, "--controls", 0)
    assert "for scale" not in without and without.splitlines()[0] == shown.splitlines()[0]
    few = json.loads(ffmem("intervene", model, TEXT, "L0.3=50", "--new", 0, "--controls", 3, "--seed", 5, "--json")[0])
    assert len(few["controls"]["random"]) == 3 and few["controls"]["seed"] == 5


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("L0.3?5",), "L0.3?5"),
        (("L0.99999*0",), "L0.99999"),
        (("L0.3*0", "--where", "first"), "--where all"),
        (("L0.3*0", "--new", -1), "--new 0"),
        (("L0.3*0@99",), "99"),
    ],
)
def test_bad_changes_are_told(tiny_folder: Callable[[str], Path], arguments: tuple[object, ...], told: str) -> None:
    _, wrong = ffmem("intervene", tiny_folder("gpt2"), TEXT, *arguments, expect=2)
    assert told in wrong

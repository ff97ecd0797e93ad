"""Attention from the command line, as a user runs it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.programs import ffmem

TEXT = "the old river of the village"


def test_attention_by_weights_and_norms(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    model = tiny_folder("gpt2")
    shown, _ = ffmem("attention", model, TEXT, "--html", tmp_path / "a.html")
    for told in ("L0", "L2", "alpha", "norm", "mixing", "differ from the outputs by at most", "a.html"):
        assert told in shown
    assert "<table" in (tmp_path / "a.html").read_text()
    found = json.loads(ffmem("attention", model, TEXT, "--json")[0])
    n = len(found["tokens"])
    assert [one["layer"] for one in found["layers"]] == ["L0", "L1", "L2"]
    one = found["layers"][1]
    assert len(one["weights"]) == 4 and len(one["weights"][0]) == n and len(one["summed_norms"][0]) == n
    full, _ = ffmem("attention", model, TEXT, "--layer", "L1", "--at", 2)
    assert "mean alpha" in full and "head of most norm" in full and "L2" not in full
    head, _ = ffmem("attention", model, TEXT, "--layer", "L1", "--head", 3)
    assert "L1.H3" in head and "‖f(x)‖" in head
    single, _ = ffmem("attention", model, "s")
    assert "alpha ⟨s⟩ 1" in single


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((TEXT, "--layer", "L7"), "Expected one of: L0, L1, L2"),
        ((TEXT, "--head", 1), "Add for example --layer L0"),
        ((TEXT, "--layer", "L0", "--head", 9), "Expected 0 to 3"),
        ((TEXT, "--at", 99), "--at is 99"),
        ((TEXT, "--bias", "out"), "Write --bias inside"),
        ((TEXT, "--target", "x"), "no decoder that could read it"),
        (("",), "no token"),
        (("river " * 200,), "the context of the model"),
    ],
)
def test_what_a_user_can_mend(tiny_folder: Callable[[str], Path], arguments: tuple[object, ...], told: str) -> None:
    _, wrong = ffmem("attention", tiny_folder("gpt2"), *arguments, expect=2)
    assert told in wrong


def test_patches_together_and_one_at_a_time(tiny_folder: Callable[[str], Path]) -> None:
    model = tiny_folder("llama")
    shown, told = ffmem("patch", model, TEXT, "--limit", 2)
    assert "L2" in shown and "the 2 heads that matter most of 12" in shown and "sub-layers" in told
    sweep = json.loads(ffmem("patch", model, TEXT, "--json", "--quiet")[0])
    one = json.loads(ffmem("patch", model, TEXT, "L1.H2", "--json")[0])
    assert one["kl"] == pytest.approx(next(e["kl"] for e in sweep["heads"] if e["where"] == "L1.H2"), rel=1e-3)
    assert "L0+L1.H2" in ffmem("patch", model, TEXT, "L0", "L1.H2", "--by", "norms")[0]
    _, wrong = ffmem("patch", model, TEXT, "--by", "zero", expect=2)
    assert "Write --by uniform" in wrong


def test_the_one_map(tiny_folder: Callable[[str], Path], corpus: Path, tmp_path: Path) -> None:
    model, folder = tiny_folder("gpt2"), tmp_path / "i"
    ffmem("index", model, corpus, "--out", folder, "--max-tokens", 2000, "--quiet")
    shown, _ = ffmem("map", model, TEXT, "--index", folder, "--by", "logit", "--limit", 2)
    for told in (
        "share of the score",
        "fired by",
        "known for",
        "by cells it fired",
        "the parts add up to the score but for",
    ):
        assert told in shown
    last_step = "what earlier layers had moved between tokens counts for the token where it stood"
    assert shown.count(last_step) == 2  # once above the cells, once above the tokens' shares
    found = json.loads(ffmem("map", model, TEXT, "--index", folder, "--json")[0])
    assert found["score_error"] < 1e-5 and len(found["by_token"]) == len(found["tokens"])
    assert "not a plain sum" in ffmem("map", tiny_folder("bert"), TEXT)[0]
    _, wrong = ffmem("map", model, TEXT, "--at", 60, expect=2)
    assert "the position is 60" in wrong

"""What the flow page asks of a model, held against the function of the same name and against the model's own scores."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import Index, InputError, load_model
from ffmem.analyses.explain import explain
from ffmem.models.transformer import Transformer
from ffmem.server.flow_questions import ask_flow
from ffmem.server.views.flow import FlowState

TEXT = "the old river of the village"


@pytest.fixture(scope="module")
def model(tiny_folder: Callable[[str], Path]) -> Transformer:
    return load_model(tiny_folder("gpt2"))


def kept(text: str) -> str:
    return text


def test_pinned_cells_are_told_what_made_them_fire(model: Transformer, index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    state = FlowState(TEXT, target="s", against="t", pin=("L1.7", "L0.H1@2", "embedding", "L2.bias"))
    found = ask_flow(model, index, state, kept)
    assert found.problems == () and found.flow is not None
    assert [str(one.cell.cell) for one in found.flow.fired] == ["L1.7"]
    assert found.flow.score == pytest.approx(explain(model, TEXT, target="s", against="t", index=index).score, abs=1e-5)


@pytest.mark.parametrize(
    ("changed", "part", "told"),
    [
        ({"pin": ("L77.1",)}, "pin", "L77"),
        ({"pin": ("L1.99999",)}, "pin", "L1.99999"),
        ({"pin": ("L1.H1@77",)}, "pin", "Expected one of those in the table"),
        ({"pin": ("<b>", "")}, "pin", "<b>"),
        ({"target": "two tokens"}, "flow", "two tokens"),
        ({"at": 99}, "flow", "has no token 99"),
    ],
)
def test_what_cannot_be_answered_is_told(
    changed: dict[str, object], part: str, told: str, model: Transformer, index_of: Callable[[str], Index]
) -> None:
    state = replace(FlowState(TEXT), **changed)  # type: ignore[arg-type]
    found = ask_flow(model, index_of("gpt2"), state, kept)
    assert found.problems[0][0] == part and told in found.problems[0][1]
    assert (found.flow is None) == (part == "flow")


def test_a_text_that_is_too_long_is_not_run(model: Transformer, index_of: Callable[[str], Index]) -> None:
    def refuse(text: str) -> str:
        raise InputError("the text is too long", "Expected less", "Shorten it")

    found = ask_flow(model, index_of("gpt2"), FlowState(TEXT), refuse)
    assert found.flow is None and "too long" in found.problems[0][1]

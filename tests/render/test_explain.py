"""One prediction as a sum, and one that is intervened on."""

from types import SimpleNamespace
from typing import Any

import pytest

from ffmem.analyses.intervene import Candidate, Intervention
from ffmem.render.explain import explanation, intervention, score_is


def made(**fields: Any) -> Any:
    layer = SimpleNamespace(
        layer="L0", attention=1.0, cells=-0.5, bias=0.25, target_rank=1234,
        residual_token="a", residual_probability=0.5, output_token="b", output_probability=0.75,
    )  # fmt: skip
    usual = {
        "target": " Paris", "against": None, "rank": 0, "probability": 0.5, "score": 3.0, "quantity": "logit", "embedding": 2.0,
        "constant": 0.25, "normalisers": 0.0, "own": 3.0, "error": 1e-6, "layers": [layer], "cells": [],
        "dictionaries": [],
    }  # fmt: skip
    return SimpleNamespace(**(usual | fields))


def test_the_sum_is_over_all_parts() -> None:
    shown = explanation(made()).split("\n")
    assert shown[0] == "⟨ Paris⟩: rank 0, probability 0.5000, score 3.0000, the logit; shares in logits"
    assert shown[3].split() == ["L0", "1.0000", "-0.5000", "0.2500", "1,234", "⟨a⟩", "0.500", "->", "⟨b⟩", "0.750"]
    assert shown[-1].startswith(
        "  sum 3.0000; it differs from the score by 1.0e-06 at most"
    )  # 2 + 1 - 0.5 + 0.25 + 0.25


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"quantity": "log-probability", "normalisers": -1.5}, "  normalisers -1.5000: of the adaptive softmax"),
        ({"quantity": "log-probability", "against": " Rome"}, "  normalisers 0.0000: the two tokens share theirs"),
        ({"quantity": "logit before the soft cap", "own": 2.5}, "  after the soft cap 2.5000"),
    ],
)
def test_what_is_behind_the_sum(fields: dict[str, Any], line: str) -> None:
    assert any(one.startswith(line) for one in explanation(made(**fields)).split("\n"))


def test_the_quantity_of_two_tokens_is_a_difference() -> None:
    assert score_is("logit", " Rome") == "the difference of two logits; shares in logits"


def test_an_intervention_with_and_without_a_continuation() -> None:
    found = Intervention("x", ("L0.3*0",), (Candidate("a\n", 1, 0.5, 0.25),), 0.125, "", "")
    head, _, row = intervention(found).split("\n")
    assert head == "L0.3*0: the prediction moves by 0.125 nats (KL from the unchanged model)"
    assert row.split() == ["0.5000", "0.2500", "⟨a", "⟩"]
    longer = Intervention("x", ("L0.3*0",), (), 0.125, " y", " z")
    assert intervention(longer).endswith("x[ y]\nchanged  x[ z]")

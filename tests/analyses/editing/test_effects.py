"""Effects of edits, counted by hand."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import load_model
from ffmem.analyses.editing.asking import asked, log_probabilities
from ffmem.analyses.editing.effects import KINDS, Answers, changed_by_prefix, harmonic, questions
from ffmem.analyses.editing.facts import Fact

FACTS = (
    Fact(
        "the silver river of the",
        "quick",
        "silver river",
        "winter",
        ("a river of",),
        ("the old village of", "dogs and"),
    ),
    Fact("the lazy dog and the", "winter", "lazy dog", "quick"),
)


def test_shares_and_score_of_answers_by_hand() -> None:
    kind = np.array([0, 0, 1, 1, 2, 2, 2, 2])
    new = np.log([0.5, 0.1, 0.4, 0.2, 0.1, 0.3, 0.1, 0.2])
    old = np.log([0.2, 0.3, 0.1, 0.1, 0.2, 0.2, 0.4, 0.2])
    found = Answers(np.array([0, 1, 0, 1, 0, 0, 1, 1]), kind, new, old)
    assert found.rate("prompt") == 0.5
    assert found.rate("paraphrase") == 1.0
    assert found.rate("neighbour") == 0.5  # equal is not above
    assert found.score == pytest.approx(3 / (1 / 0.5 + 1 / 1.0 + 1 / 0.5))
    np.testing.assert_allclose(found.magnitude[[0, 1, 4, 5]], [0.3, -0.2, 0.1, -0.1], atol=1e-12)


@pytest.mark.parametrize(
    ("shares", "expected"), [([0.5, 0.5, 0.5], 0.5), ([1.0, 0.0, 1.0], 0.0), ([1.0, float("nan"), 0.5], 2 / 3)]
)
def test_the_harmonic_mean_leaves_out_what_is_not_known(shares: list[float], expected: float) -> None:
    assert harmonic(shares) == pytest.approx(expected)
    assert np.isnan(harmonic([float("nan")]))


def test_each_prompt_is_asked_with_both_answers(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    found = questions(model, FACTS).answered(model)
    assert [KINDS[one] for one in found.kind] == ["prompt", "paraphrase", "neighbour", "neighbour", "prompt"]
    assert found.fact.tolist() == [0, 0, 0, 0, 1]
    prompts = ["the silver river of the", "a river of", "the old village of", "dogs and"]
    expected = [float(log_probabilities(model, [asked(model, one, "quick")])) for one in prompts]
    np.testing.assert_allclose(found.new[:4], expected, atol=1e-4)
    assert found.old[4] == pytest.approx(
        float(log_probabilities(model, [asked(model, FACTS[1].prompt, "quick")])), abs=1e-4
    )


def test_a_told_fact_stands_before_each_prompt(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    found = changed_by_prefix(model, FACTS)
    told = "the silver river of the quick. a river of"
    assert found.new[1] == pytest.approx(float(log_probabilities(model, [asked(model, told, "quick")])), abs=1e-4)


def test_a_masked_model_is_told_the_answer_where_its_mask_is(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("bert"))
    found = changed_by_prefix(model, [Fact("the silver [MASK] of the", "quick", "", "winter")])
    rows = [asked(model, "the silver quick of the. the silver [MASK] of the", one) for one in ("quick", "winter")]
    np.testing.assert_allclose([found.new[0], found.old[0]], log_probabilities(model, rows).numpy(), rtol=1e-4)

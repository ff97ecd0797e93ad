"""Section 4.3: norms, weights and frequency."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.kobayashi2020.frequency import CHAPTER
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged

(EXHIBIT,) = CHAPTER.exhibits


def around(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.1, 50)


@pytest.mark.parametrize(
    ("norm", "weight", "verdict"),
    [(0.7, 0.1, "shown"), (0.3, 0.25, "undecided"), (0.2, 0.6, "contradicted"), (-0.5, -0.9, "contradicted")],
)
def test_the_claim_has_two_parts(findings: Findings, norm: float, weight: float, verdict: str) -> None:
    steps = np.linspace(-1, 1, 10) / 60  # so that intervals are 0.1 wide on either side
    by_text = replace(
        attention_of(findings).by_text,
        frequency_norm_without=(norm + steps).tolist(),
        frequency_weight_without=(weight + np.roll(steps, 5)).tolist(),
    )
    made = replace(
        attention_of(findings), frequency_norm=around(norm), frequency_weight=around(weight), by_text=by_text
    )
    told = replace(findings, values={EXPERIMENT: made})
    assert [one.verdict for one in judged([tuple(EXHIBIT.claims(told))])[0]] == [verdict]
    assert [(one.paper, one.ours) for one in EXHIBIT.numbers(told)] == [("~ 0.75", norm), ("~ 0.06", weight)]
    assert f"is {norm:.2f} for ‖f(x)‖ and {weight:.2f} for weights" in EXHIBIT.reading(told)

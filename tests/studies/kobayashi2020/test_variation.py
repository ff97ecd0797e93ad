"""Section 4.1 of a made-up result, whose numbers are plain."""

from dataclasses import replace

import pytest

from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.kobayashi2020.variation import CHAPTER
from ffmem.studies.results import Findings

(EXHIBIT,) = CHAPTER.exhibits


def test_numbers_charts_and_the_claim(findings: Findings) -> None:
    heads = [[0.1, 0.2, 0.3, 0.6], [0.4, 0.4, 0.4, 0.4], [0.2, 0.2, 0.4, 0.4]]
    made = replace(attention_of(findings), variation=heads, stream_variation=[0.5, 0.25, 0.125])
    told = replace(findings, values={EXPERIMENT: made})
    (number,) = EXHIBIT.numbers(told)
    assert (number.paper, number.unit) == ("~ 0.22", "") and number.ours == pytest.approx(4.0 / 12)
    assert EXHIBIT.reading(told).startswith(
        "The median head's ‖f(x)‖ varies by 40 % of its mean; heads range from 10 % to 60 %"
    )
    (claim,) = EXHIBIT.claims(told)
    assert claim.verdict == "shown" and "median head 0.40, of all 0.10 to 0.60" in claim.why
    (chart,) = EXHIBIT.charts(told)
    assert [(row["layer"], row["value"], row["low"], row["high"], row["n"]) for row in chart.rows] == [
        (0, pytest.approx(0.3), 0.1, 0.6, 4),
        (1, 0.4, 0.4, 0.4, 4),
        (2, pytest.approx(0.3), 0.2, 0.4, 4),
        (0, 0.5, 0.5, 0.5, None),
        (1, 0.25, 0.25, 0.25, None),
        (2, 0.125, 0.125, 0.125, None),
    ]
    calm = replace(findings, values={EXPERIMENT: replace(made, variation=[[0.01] * 4] * 3)})
    assert [one.verdict for one in EXHIBIT.claims(calm)] == ["undecided"]

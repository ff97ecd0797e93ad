"""Section 4.1 of a made-up result, whose numbers are plain."""

from dataclasses import replace

import pytest

from ffmem.studies.kobayashi2020.findings import EXPERIMENT, attention_of
from ffmem.studies.kobayashi2020.variation import CHAPTER
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged

(EXHIBIT,) = CHAPTER.exhibits


def test_numbers_charts_and_the_claim(findings: Findings) -> None:
    heads = [[0.1, 0.2, 0.3, 0.6], [0.4, 0.4, 0.4, 0.4], [0.2, 0.2, 0.4, 0.4]]
    without = replace(attention_of(findings).by_text, median_variation_without=[0.39, 0.4, 0.4, 0.41])
    made = replace(attention_of(findings), variation=heads, stream_variation=[0.5, 0.25, 0.125], by_text=without)
    told = replace(findings, values={EXPERIMENT: made})
    (number,) = EXHIBIT.numbers(told)
    assert (number.paper, number.unit) == ("~ 0.22", "") and number.ours == pytest.approx(4.0 / 12)
    assert EXHIBIT.reading(told).startswith(
        "The median head's ‖f(x)‖ varies by 40 % of its mean; heads range from 10 % to 60 %"
    )
    ((claim,),) = judged([tuple(EXHIBIT.claims(told))])
    assert claim.verdict == "shown" and claim.why.startswith("variation of the median head 0.40 (0.36 to 0.44), of all")
    (chart,) = EXHIBIT.charts(told)
    assert [(row["layer"], row["value"], row["low"], row["high"], row["n"]) for row in chart.rows] == [
        (0, pytest.approx(0.3), 0.1, 0.6, 4),
        (1, 0.4, 0.4, 0.4, 4),
        (2, pytest.approx(0.3), 0.2, 0.4, 4),
        (0, 0.5, 0.5, 0.5, None),
        (1, 0.25, 0.25, 0.25, None),
        (2, 0.125, 0.125, 0.125, None),
    ]
    still = replace(without, median_variation_without=[0.011, 0.009, 0.01, 0.01])
    calm = replace(findings, values={EXPERIMENT: replace(made, variation=[[0.01] * 4] * 3, by_text=still)})
    assert [one.verdict for one in judged([tuple(EXHIBIT.claims(calm))])[0]] == ["contradicted"]

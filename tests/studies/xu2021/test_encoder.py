"""Claims of the encoder's layers, on studies that are made up."""

import pytest

from ffmem.studies.verdicts import Verdict, judged
from ffmem.studies.xu2021.encoder import CHAPTER
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.shares import shares

(EXHIBIT,) = CHAPTER.exhibits


@pytest.mark.parametrize(
    ("encoder", "control", "expected"),
    [
        ((0.5, 0.55, 0.62), 0.12, ["shown", "shown"]),
        ((0.5, 0.62, 0.5), 0.5, ["undecided", "undecided"]),
        ((0.2, 0.15, 0.1), 0.3, ["contradicted", "contradicted"]),
    ],
)
def test_claims_follow_the_accuracies(
    made: Made, encoder: tuple[float, ...], control: float, expected: list[Verdict]
) -> None:
    claims = judged([tuple(EXHIBIT.claims(made(shares(encoder, (0.2, 0.7), control))))])[0]
    assert [one.verdict for one in claims] == expected


def test_one_control_that_is_as_good_refutes_that_embeddings_translate(made: Made) -> None:
    told = shares((0.5, 0.6), (0.2, 0.7))
    told["enc.embeddings"]["shuffled"] = 0.6
    (first, _) = judged([tuple(EXHIBIT.claims(made(told)))])[0]
    assert first.verdict == "contradicted" and "a shuffled source -" in first.why


def test_what_is_told_is_what_was_found(made: Made) -> None:
    findings = made(shares((0.5, 0.55), (0.2, 0.7)))
    assert "source embeddings name 50.0 % of the words, the last encoder layer 55.0 %" in EXHIBIT.reading(findings)
    numbers = {one.quantity: one.ours for one in EXHIBIT.numbers(findings)}
    assert numbers["acc@1, enc.L0: encoder, trained W and mix"] == 0.55 and numbers["acc@1, the model itself"] == 0.7
    (chart,) = EXHIBIT.charts(findings)
    assert {row["series"] for row in chart.rows} == set(chart.order) and chart.x_title == "place"
    own = [row["value"] for row in chart.rows if row["series"] == "the model itself"]
    assert own == [0.7] * 4

from pathlib import Path

import pytest

from ffmem.studies.valeriani2023.next_layer import CHAPTER
from ffmem.studies.verdicts import judged
from tests.studies.valeriani2023.planted import planted

(EXHIBIT,) = CHAPTER.exhibits
PEAK = [5.0, 9, 12, 9, 6, 7]


@pytest.mark.parametrize(
    ("near", "verdict"),
    [
        ([0.3, 0.4, 0.8, 0.9, 0.8], "shown"),
        ([0.9, 0.9, 0.5, 0.4, 0.5], "contradicted"),
        ([0.5, 0.5, 0.5, 0.5, 0.5], "undecided"),
    ],
)
def test_where_neighbourhoods_settle(tmp_path: Path, near: list[float], verdict: str) -> None:
    findings = planted(tmp_path, PEAK, near=near)
    ((claim,),) = judged([list(EXHIBIT.claims(findings))])
    assert claim.verdict == verdict
    numbers = {one.quantity: one.ours for one in EXHIBIT.numbers(findings)}
    assert numbers["neighbours that stay, steps up to the peak"] == pytest.approx(sum(near[:2]) / 2)
    assert numbers["neighbours that stay, steps after the peak"] == pytest.approx(sum(near[2:]) / 3)


def test_a_peak_in_the_lowest_layer_has_nothing_before_it(tmp_path: Path) -> None:
    assert not list(EXHIBIT.claims(planted(tmp_path, PEAK[2:])))

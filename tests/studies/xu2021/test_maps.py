"""Shares of the mix, as told."""

import pytest

from ffmem.studies.xu2021.maps import CHAPTER
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.shares import shares

(EXHIBIT,) = CHAPTER.exhibits


def test_shares_are_the_means_of_the_seeds_and_add_up_by_layer(made: Made) -> None:
    findings = made(shares((0.5, 0.6), (0.2, 0.7)))
    assert "dec.L0.cross.H0 60.0 %" in EXHIBIT.reading(findings)
    assert "by decoder layer: dec.L0.cross 80.0 %, dec.L1.cross 20.0 %" in EXHIBIT.reading(findings)
    (chart,), (table,) = EXHIBIT.charts(findings), EXHIBIT.tables(findings)
    row = [one["value"] for one in chart.rows if one["row"] == "enc.embeddings"]
    assert row == pytest.approx([0.6, 0.2, 0.2]) and [one["label"] for one in chart.rows][:3] == ["60", "20", "20"]
    assert table.rows[0] == {"place": "enc.embeddings", "map": "dec.L0.cross.H0", "share": pytest.approx(0.6),
                             "seed 0": 0.5, "seed 1": 0.7}  # fmt: skip

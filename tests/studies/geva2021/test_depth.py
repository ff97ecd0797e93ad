"""Whether meaning grows with depth, told of results that are known."""

import pytest

from ffmem.studies.charts import spec
from ffmem.studies.geva2021.depth import CHAPTER
from ffmem.studies.geva2021.meaning import MeaningResult
from ffmem.studies.results import Findings
from ffmem.studies.verdicts import judged
from tests.studies.geva2021.made_meaning import about, findings, rising

(EXHIBIT,) = CHAPTER.exhibits


def verdicts(found: Findings) -> list[str]:
    (claims,) = judged([tuple(EXHIBIT.claims(found))])
    return [one.verdict for one in claims]


def test_the_rise_and_the_difference_from_random_directions_are_two_claims() -> None:
    assert verdicts(findings()) == ["shown", "shown"]
    base = findings().get("meaning", MeaningResult).meaning
    assert base is not None
    flat = base.trends | {"earlier words": rising(0.0005, 0.0), "earlier words, shuffled": rising(0.0)}
    assert verdicts(findings(trends=flat)) == ["undecided", "shown"]
    falling = base.trends | {"earlier words": rising(0.0, 0.02, -0.9)}
    assert verdicts(findings(trends=falling))[0] == "contradicted"
    unsteady = base.trends | {"earlier words": rising(0.02, 0.0, 0.02)}  # no rank correlation to speak of
    assert verdicts(findings(trends=unsteady))[0] == "undecided"
    shuffled = base.trends | {"earlier words, shuffled": rising(0.004)}  # a fifth of what the own words tell
    assert verdicts(findings(trends=shuffled))[0] == "undecided"
    assert verdicts(findings(differences={"earlier words": about(0.001, 0.004)})) == ["shown", "undecided"]
    assert verdicts(findings(differences={"earlier words": about(-0.01, 0.004)})) == ["shown", "contradicted"]


def test_what_it_says() -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    found = findings()
    assert "2.0 %" in EXHIBIT.reading(found) and "1.0 %" in EXHIBIT.reading(found)
    charts = {one.name: one for one in EXHIBIT.charts(found)}
    assert list(charts) == ["earlier-words", "trigger-lift", "meaning-by-size"]
    assert [row["middle"] for row in charts["meaning-by-size"].rows] == [200, 2_000]
    assert {row["series"] for row in charts["earlier-words"].rows} == {"cells", "random directions"}
    assert all(spec(one) for one in charts.values())
    (table,) = EXHIBIT.tables(found)
    assert len(table.rows) == 6 and table.rows[2]["earlier words"] == 0.02

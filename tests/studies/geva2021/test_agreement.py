"""Figures 4 to 6 and Table 2 are what index and model say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from ffmem.analyses.agreement import Agreement
from ffmem.studies.geva2021.agreement import CHAPTER
from ffmem.studies.geva2021.study import projections
from ffmem.studies.results import Findings, Results
from ffmem.studies.verdicts import judged
from tests.studies.conftest import Story


def test_the_own_projection_is_shown_first(story: Story) -> None:
    own = story.index.manifest.projection
    assert projections(story.findings)[0] == own
    result = story.findings.get(f"agreement-{own}", Agreement)
    assert result.projection == own and len(result.layers) == story.index.n_layers
    rates = [row for row in story.report.charts["agreement"].rows if row["series"] == "next token"]
    assert [row["value"] for row in rates] == [layer.agreement.value for layer in result.layers]
    first = [row for row in story.report.charts["agreement-at"].rows if row["series"] == "k = 1"]
    # the first token is the top token, by the best trigger that something follows
    assert [row["value"] for row in first] == [layer.agreement_next_best.value for layer in result.layers]


def test_numbers_are_those_of_the_cells_of_a_third(story: Story) -> None:
    result = story.findings.get(f"agreement-{story.index.manifest.projection}", Agreement)
    numbers = {one.quantity: one for name, one in story.report.numbers if name in ("Figure 4", "Figure 5")}
    last = result.layers[-1]  # of three layers a third is one
    assert numbers["agreement rate, highest third of the layers"].ours == pytest.approx(last.agreement.value)
    assert last.agreement.n == story.index.cells.layers[-1].n_cells  # all of them, as the paper counts
    assert numbers["the same by the best trigger that something follows, of cells that have one"].ours == pytest.approx(
        last.agreement_next_best.value
    )
    share = numbers["median rank of the next token as a share of the vocabulary, highest third"]
    assert share.ours * len(story.index.text.vocabulary) == pytest.approx(last.rank_quantiles[2])
    assert share.low is not None and share.low < share.ours


def test_claims_are_differences_of_the_same_cells(story: Story) -> None:
    arrays = story.results.load_arrays("agreement")
    claims = {one.statement: one.test for name, one in story.report.claims if name in ("Figure 4", "Figure 5")}
    agrees = (arrays["following_best"] >= 0) & (arrays["top"] == arrays["following_best"])
    by_layer = [agrees[arrays["layer"] == place].mean() for place in range(3)]
    assert claims["agreement is higher in the upper layers"].effect == pytest.approx(by_layer[-1] - by_layer[0])
    ranks = [arrays["following_rank"][(arrays["layer"] == place) & (arrays["following"] >= 0)] for place in (0, 2)]
    expected = np.median(ranks[0]) - np.median(ranks[1])
    assert claims["the next token's rank improves with depth"].effect == pytest.approx(expected)


def test_bins_lie_side_by_side(story: Story) -> None:
    rows = story.report.charts["strength"].rows
    for series in ("values as they are", "all brought to one length"):
        bins = [row for row in rows if row["series"] == series]
        assert all(one["to"] <= two["from"] * (1 + 1e-9) for one, two in pairwise(bins))
        assert sum(row["n"] for row in bins) == sum(
            layer.agreement.n
            for layer in story.findings.get(f"agreement-{story.index.manifest.projection}", Agreement).layers
        )


@pytest.mark.parametrize(("n_strong", "n_documents", "decided"), [(3, 3, False), (60, 9, False), (60, 30, True)])
def test_few_strong_values_show_nothing(
    n_strong: int, n_documents: int, decided: bool, story: Story, tmp_path: Path
) -> None:
    """All of them agree, and one in five of the others; what counts is how many documents their triggers are from."""
    n = 400
    agrees = np.arange(n) % 5 == 0
    agrees[:n_strong] = True
    arrays = {name: np.zeros(n, array.dtype) for name, array in story.results.load_arrays("agreement").items()}
    arrays |= {
        "document": np.where(np.arange(n) < n_strong, np.arange(n) % n_documents, np.arange(n) % 50),
        "top_log_probability": np.where(np.arange(n) < n_strong, -1.0, -5.0),
        "following_best": np.where(agrees, 0, 1),
    }
    Results(tmp_path, story.results.header).save_arrays("agreement", arrays)
    (exhibit,) = (one for one in CHAPTER.exhibits if one.name == "Figure 6")
    ((claim,),) = judged([list(exhibit.claims(Findings(story.results.header, tmp_path, {})))])
    assert claim.test.effect == pytest.approx(1 - agrees[n_strong:].mean())
    assert claim.verdict == ("shown" if decided else "undecided")
    assert ("too few documents to tell" in claim.why) != decided

"""What is told of removed cells is what was lost at each prefix."""

from pathlib import Path

import numpy as np
import pytest

from ffmem.analyses.removal import KS, WAYS, Removals
from ffmem.studies.exhibit import Claim
from ffmem.studies.geva2021.removal import CHAPTER, K, RemovalResult
from ffmem.studies.results import Findings, Results
from tests.conftest import SMALL_STUDY
from tests.studies.conftest import Story

EXHIBIT = CHAPTER.exhibits[0]


def made(folder: Path, story: Story, change: np.ndarray) -> Findings:
    """Findings in which cells cost what they are told to."""
    n, n_layers = change.shape[:2]
    arrays = {
        "loss": np.ones(n), "change": change, "divergence": np.abs(change), "without_all": np.zeros((n, n_layers)),
        "length": np.abs(change), "n_removed": np.zeros((n, n_layers, len(KS)), int), "document": np.arange(n) // 2,
        "error": np.zeros(n),
    }  # fmt: skip
    results = Results(folder, story.results.header)
    results.save_arrays("removal", arrays)
    return Findings(story.results.header, folder, {})


def claims(findings: Findings) -> list[Claim]:
    return list(EXHIBIT.claims(findings))


def test_means_are_those_of_the_prefixes(story: Story) -> None:
    found = story.findings.get("removal", RemovalResult)
    kept = {name: array.astype(np.float64) for name, array in story.results.load_arrays("removal").items()}
    arrays = Removals(**kept)
    assert found.n_prefixes == len(arrays.loss) == SMALL_STUDY["removed_prefixes"]
    assert found.n_documents == len(set(arrays.document.tolist())) and found.largest_error < 1e-5
    assert found.loss.value == pytest.approx(arrays.loss.mean())
    for at, way in enumerate(WAYS):
        for number in range(len(KS)):
            assert found.change[way][number].value == pytest.approx(arrays.change[:, :, at, number].mean())
            assert found.divergence[way][number].value == pytest.approx(arrays.divergence[:, :, at, number].mean())
            for place, layer in enumerate(found.layers):
                assert layer.change[way][number].value == pytest.approx(
                    arrays.change[:, place, at, number].mean(), abs=1e-7
                )
                assert layer.length[way][number] == pytest.approx(arrays.length[:, place, at, number].mean())
    assert [layer.layer for layer in found.layers] == [layer.name for layer in story.index.cells.layers]


def test_the_page_shows_them(story: Story) -> None:
    found = story.findings.get("removal", RemovalResult)
    rows = story.report.charts["removal"].rows
    assert len(rows) == len(WAYS) * len(KS) and {row["from"] for row in rows} == set(KS)
    assert [row["value"] for row in rows[: len(KS)]] == [one.value for one in found.change["activation"]]
    numbers = {one.quantity: one for _, one in story.report.numbers}
    told = numbers[f"loss without random active cells, k = {K}, more by"]
    assert told.ours == found.change["chance"][KS.index(K)].value and told.unit == "nats"
    table = story.report.tables["removed-cells"]
    assert len(table.rows) == len(found.layers) * len(KS) * len(WAYS)
    section = next(one for one in story.report.sections if one.title == EXHIBIT.title)
    assert "12 random held-out prefixes" in section.sample and "in all 3 layers" in section.sample
    (short,) = section.notes  # 48 ReLU cells: never 100 active ones
    assert "for k = 100" in short and "for k = 1," not in short


def test_a_claim_is_what_differs_at_the_same_prefix(story: Story) -> None:
    arrays = Removals(**story.results.load_arrays("removal"))
    of = {way: arrays.change[:, :, WAYS.index(way), KS.index(K)] for way in WAYS}
    than_chance, than_as_large, _ = claims(story.findings)
    assert than_chance.test.effect == pytest.approx((of["activation"] - of["chance"]).mean())
    others = [(of["activation"] - of[way]).mean() for way in ("chance, equal norm", "random direction, equal norm")]
    assert any(than_as_large.test.effect == pytest.approx(one) for one in others)


def test_a_model_that_learned_nothing_shows_nothing(story: Story) -> None:
    """The next token's loss: the model is random."""
    told = [one for _, one in story.report.claims if one.statement.startswith("removing the cells of largest")]
    assert len(told) == 3 and all(one.verdict != "shown" for one in told[:2])


@pytest.mark.parametrize("direction", ["chance, equal norm", "random direction, equal norm"])
def test_cells_must_cost_more_than_either_change_of_equal_size(direction: str, story: Story, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    change = rng.normal(0, 0.1, (60, 3, len(WAYS), len(KS)))
    change[:, :, WAYS.index("activation")] += 0.5
    assert [one.test.p_shown < 1e-6 for one in claims(made(tmp_path, story, change))] == [True, True, True]
    change[:, :, WAYS.index(direction)] += 1.0  # it costs more than they do
    than_chance, than_as_large, _ = claims(made(tmp_path, story, change))
    assert than_chance.test.p_shown < 1e-6 < 0.99 < than_as_large.test.p_shown
    assert than_as_large.test.p_contradicted < 1e-6

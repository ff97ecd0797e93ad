"""Verdicts on profiles that are known."""

from pathlib import Path

from ffmem.studies.exhibit import Claim
from ffmem.studies.valeriani2023.dimension import CHAPTER
from ffmem.studies.verdicts import judged
from tests.studies.valeriani2023.planted import planted

(EXHIBIT,) = CHAPTER.exhibits
PEAK = [5.0, 9, 12, 9, 6, 5]


def verdicts(findings: object) -> dict[str, str]:
    claims: list[Claim] = list(EXHIBIT.claims(findings))  # type: ignore[arg-type]
    both = {one.statement.split(" (")[0]: one.verdict for one in judged([claims])[0]}
    alone = {name: verdict for name, verdict in both.items() if "at the last token" not in name}
    assert len(both) == 2 * len(alone)  # planted points are the same for both kinds
    return alone


def test_a_peak_is_shown_and_so_is_what_makes_it(tmp_path: Path) -> None:
    untrained = planted(tmp_path / "control", [30.0, 29, 28, 27, 26, 25])
    findings = planted(tmp_path, PEAK, words=[5.0, 6, 7, 6, 5, 4], controls={"untrained": untrained})
    assert set(verdicts(findings).values()) == {"shown"} and len(verdicts(findings)) == 3
    assert "largest in L2 (12.0), within" in EXHIBIT.reading(findings)
    assert {one["series"] for one in next(iter(EXHIBIT.charts(findings))).rows} == {
        "sentences", "shuffled words", "untrained model",
    }  # fmt: skip


def test_what_shuffled_words_and_an_untrained_model_have_as_well_is_not_shown(tmp_path: Path) -> None:
    untrained = planted(tmp_path / "control", [2.0, 9, 20, 9, 5, 2])
    found = verdicts(planted(tmp_path, PEAK, words=[5.0, 9, 15, 9, 6, 5], controls={"untrained": untrained}))
    assert found["the peak is lower where words are shuffled"] == "contradicted"
    assert found["the peak is not there before training"] == "contradicted"


def test_a_profile_that_only_falls_has_no_peak_within(tmp_path: Path) -> None:
    found = verdicts(planted(tmp_path, [12.0, 10, 9, 8, 7, 6]))
    assert found == {"the dimension rises to a peak within the layers and falls after it": "undecided"}


def test_noise_decides_nothing(tmp_path: Path) -> None:
    assert set(verdicts(planted(tmp_path, PEAK, words=[5.0, 9, 11.5, 9, 6, 5], noise=0.5)).values()) == {"undecided"}

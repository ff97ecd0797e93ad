"""Both readings on profiles that are known."""

from pathlib import Path

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.valeriani2023.topics import CHAPTER
from ffmem.studies.verdicts import judged
from tests.studies.valeriani2023.planted import planted

(EXHIBIT,) = CHAPTER.exhibits
PEAK = [5.0, 9, 12, 9, 6, 7]


def verdicts(folder: Path, labelled: list[float], blind: float = 0.2) -> list[str]:
    (claims,) = judged([list(EXHIBIT.claims(planted(folder, PEAK, labelled=labelled, blind=blind)))])
    assert [one.verdict for one in claims[3:]] == [
        one.verdict for one in claims[:3]
    ]  # at the last token, planted alike
    return [one.verdict for one in claims[:3]]


def test_topics_at_the_minimum_bear_out_one_reading(tmp_path: Path) -> None:
    assert verdicts(tmp_path, [0.2, 0.25, 0.3, 0.4, 0.6, 0.5]) == ["shown", "contradicted", "shown"]


def test_topics_at_the_peak_bear_out_the_other(tmp_path: Path) -> None:
    assert verdicts(tmp_path, [0.2, 0.4, 0.6, 0.4, 0.3, 0.2]) == ["contradicted", "shown", "shown"]


def test_a_model_that_is_no_better_than_words_is_told_so(tmp_path: Path) -> None:
    assert verdicts(tmp_path, [0.2, 0.3, 0.3, 0.3, 0.3, 0.3], blind=0.9)[2] == "contradicted"


def test_each_line_is_a_share_of_its_own_largest(tmp_path: Path) -> None:
    charts = {one.name: one for one in EXHIBIT.charts(planted(tmp_path, PEAK, labelled=[0.1, 0.2, 0.4, 0.3, 0.2, 0.2]))}
    both = {(row["series"], row["layer"]): row["value"] for row in charts["dimension-and-topics"].rows}
    assert both["dimension", 2] == both["same label", 2] == 1 and both["same label", 0] == 0.25


def test_text_without_labels_says_so(two_stacks: Results) -> None:
    findings = findings_of(two_stacks)
    assert "do not say what they are about" in EXHIBIT.reading(findings)
    assert (
        not list(EXHIBIT.claims(findings))
        and not list(EXHIBIT.charts(findings))
        and not list(EXHIBIT.numbers(findings))
    )
    assert any("topic, label or category" in note for note in EXHIBIT.notes(findings))

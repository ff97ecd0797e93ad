"""Error rates of links as a table: each number in its place."""

from dataclasses import replace

from ffmem.analyses.alignment.links import LeftOut
from ffmem.analyses.alignment.scoring import Score
from ffmem.analyses.intervals import Estimate
from ffmem.render.alignment import alignment
from ffmem.studies.alignment.findings import AlignmentStudy, Correlation, Gain, Other, Row


def score(rate: float) -> Score:
    return Score(Estimate(rate, rate - 0.01, rate + 0.02, 3), 0.625, 0.375, 1234)


COLUMNS = (("weights", "AWI"), ("norms", "AWI"), ("weights", "AWO"), ("norms", "AWO"))
# two layers with two heads each: the layer as a whole, then its heads
RATES = {
    (0, None): (0.61, 0.51, 0.41, 0.31), (0, 0): (0.62, 0.52, 0.42, 0.32), (0, 1): (0.63, 0.53, 0.43, 0.33),
    (1, None): (0.71, 0.41, 0.81, 0.21), (1, 0): (0.72, 0.82, 0.12, 0.92), (1, 1): (0.73, 0.83, 0.93, 0.23),
}  # fmt: skip
STUDY = AlignmentStudy(
    model="opus\x1b", n_pairs=1234, against="gold",
    rows=tuple(
        Row(layer, head, measure, reading, score(rate))  # type: ignore[arg-type]
        for (layer, head), rates in RATES.items()
        for (measure, reading), rate in zip(COLUMNS, rates, strict=True)
    ),
    mean_norms=[[1.5, 1.25, 1.75], [2.5, 2.25, 2.75]], layer=1, head=(1, 1),
    correlations=(Correlation("AWI", -0.5, 0.25, 4),),
    gains=(Gain(0, "AWI", Estimate(-0.1, -0.15, -0.05, 3)), Gain(1, "AWO", Estimate(0.02, -0.01, 0.03, 3))),
    others=(Other("fast_align", score(0.25)),),
)  # fmt: skip


def line_of(shown: str, beginning: str) -> list[str]:
    (line,) = [line for line in shown.split("\n") if line.strip().startswith(beginning)]
    return line.strip()[len(beginning) :].split()


def test_every_layer_and_head_has_its_row() -> None:
    shown = alignment(STUDY)
    lines = shown.split("\n")
    assert lines[:2] == ["opus\\x1b: 1,234 pairs", "Against the gold links that were given"]
    rows = [line.split() for line in lines[4:11]]
    assert rows[0] == ["AWI", "weights", "AWI", "norms", "AWO", "weights", "AWO", "norms", "mean", "norm"]
    names = ["L0", "L0.H0", "L0.H1", "L1", "L1.H0", "L1.H1"]
    norms = ["1.5000", "1.2500", "1.7500", "2.5000", "2.2500", "2.7500"]
    for row, name, rates, norm in zip(rows[1:], names, RATES.values(), norms, strict=True):
        assert row == [name, *(f"{100 * rate:.1f}" for rate in rates), norm]


def test_what_is_best_and_what_is_chosen_without_gold_links() -> None:
    shown = alignment(STUDY)
    assert line_of(shown, "mean over layers") == ["66.0", "46.0", "61.0", "26.0"]
    assert line_of(shown, "best layer") == ["L0", "61.0", "L1", "41.0", "L0", "41.0", "L1", "21.0"]
    assert line_of(shown, "best head") == ["L0.H0", "62.0", "L0.H0", "52.0", "L1.H0", "12.0", "L1.H1", "23.0"]
    assert line_of(shown, "layer of highest mean norm") == ["L1", "71.0", "L1", "41.0", "L1", "81.0", "L1", "21.0"]
    assert line_of(shown, "head of highest mean norm")[:4] == ["L1.H1", "73.0", "L1.H1", "83.0"]


def test_gains_correlations_and_the_best_of_all() -> None:
    shown = alignment(STUDY)
    assert "  L0        AWI  -10.0 (-15.0 to -5.0)" in shown.split("\n")
    assert "  L1        AWO   +2.0 (-1.0 to +3.0)" in shown.split("\n")
    assert "Error rate and mean norm of 4 heads, norms, AWI: Spearman -0.500, Pearson 0.250" in shown
    best = line_of(shown, "L1.H0 AWO weights (the best above)")
    assert best == ["12.00", "11.0", "to", "14.0", "62.5", "37.5", "1,234"]
    assert line_of(shown, "fast_align") == ["25.00", "24.0", "to", "27.0", "62.5", "37.5", "1,234"]


def test_what_is_missing_is_said() -> None:
    assert "No aligner is shown beside" not in alignment(STUDY)
    alone = replace(STUDY, others=(), against="silver", left_out=(LeftOut("g\nold", 2, 1234, 7, "9-1"),))
    shown = alignment(alone).split("\n")
    assert "which learned from the same text without any gold links" in shown[1]
    assert shown[2].startswith("Left out of g old: 2 of 1,234 links") and "the first on line 7: 9-1" in shown[2]
    assert shown[-1].startswith("  No aligner is shown beside: that needs the extra 'alignment'")

"""Results on meaning and depth that are known."""

from dataclasses import replace
from pathlib import Path

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.meaning.results import LayerMeaning, Meaning, Measure, SizeMeaning, Trend
from ffmem.studies.geva2021.meaning import MeaningResult
from ffmem.studies.results import Findings


def about(value: float, half: float = 0.01) -> Estimate:
    return Estimate(value, value - half, value + half, 50)


def rising(top: float, bottom: float = 0.0, correlation: float = 0.9) -> Trend:
    return Trend(about(correlation, 0.05), about(top - bottom, 0.001), about(top, 0.001), about(bottom, 0.001))


def layer(name: str, words: float) -> LayerMeaning:
    measures: dict[Measure, Estimate] = {
        "token": about(0.6), "n-grams": about(0.1), "position": about(-0.02), "earlier words": about(words, 0.001),
        "unexplained": about(0.32 - words), "lift": about(1 + words), "kept": about(0.5),
    }  # fmt: skip
    return LayerMeaning(name, 10, measures)


def findings(**changes: object) -> Findings:
    meaning = Meaning(
        n_documents=50, n_sentences=100, n_positions=2_000, n_transplanted=30, n_cells=10, has_labels=False, causal=True,
        likeness="earlier words", smallest_lift=1.5,
        layers=(layer("L0", 0.0), layer("L1", 0.01), layer("L2", 0.02)),
        directions=(layer("L0", 0.0), layer("L1", 0.01), layer("L2", 0.01)),
        trends={
            "token": rising(0.4, 0.7, -0.9), "kept": rising(0.4, 0.9, -0.9), "earlier words": rising(0.02),
            "earlier words, shuffled": rising(0.0001),
        },
        of_directions={"earlier words": rising(0.01)},
        differences={"earlier words": about(0.01, 0.004)},
        sizes=(SizeMeaning(5, 200, {"earlier words": about(0.01)}), SizeMeaning(50, 2_000, {"earlier words": about(0.02)})),
        left_out=("documents have no labels",),
    )  # fmt: skip
    result = MeaningResult(replace(meaning, **changes), None)  # type: ignore[arg-type]
    return Findings({}, Path(), {"meaning": result})

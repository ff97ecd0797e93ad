"""Section 4.1: the norm of f(x) varies."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.resampling import jackknifed
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row
from ffmem.studies.kobayashi2020.findings import attention_of, is_there, sample_of
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above

_VARIES = 0.1
"""The median head's variation that the claim asks for: our own limit, the paper has none."""


def _heads(findings: Findings) -> np.ndarray:
    return np.array(attention_of(findings).variation).ravel()


def _reading(findings: Findings) -> str:
    heads = _heads(findings)
    return (
        f"The median head's ‖f(x)‖ varies by {100 * float(np.median(heads)):.0f} % of its mean; "
        f"heads range from {100 * heads.min():.0f} % to {100 * heads.max():.0f} %."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    mean = float(np.mean(attention_of(findings).variation))
    yield Number("variation of ‖f(x)‖, mean over heads", "~ 0.22", mean, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    heads = _heads(findings)
    without = attention_of(findings).by_text.median_variation_without
    median = jackknifed(float(np.median(heads)), without, len(heads))
    low, high = median.interval()
    yield Claim(
        "‖f(x)‖ is not constant, so that weights alone do not tell what is added",
        above(median, _VARIES, unit="of the mean length"),
        f"variation of the median head {median.value:.2f} ({low:.2f} to {high:.2f}), of all heads {heads.min():.2f} to "
        f"{heads.max():.2f}; more than {_VARIES} is asked for",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = attention_of(findings)
    rows: list[Row] = [
        {"layer": layer, "name": found.layers[layer], "series": "‖f(x)‖, mean and range over heads"}
        | {"value": float(np.mean(heads)), "low": min(heads), "high": max(heads), "n": len(heads)}
        for layer, heads in enumerate(found.variation)
    ]
    rows += [
        row for layer, one in enumerate(found.stream_variation) for row in found.rows(layer, "‖x‖, the stream", one)
    ]
    yield Chart(
        "variation",
        "How much ‖f(x)‖ varies over tokens: coefficient of variation, mean and range over heads; and that of the stream.",
        "lines",
        rows,
        "standard deviation / mean",
    )


CHAPTER = Chapter(
    order=1,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=4.1,
            name="4.1",
            title="Does the norm of f(x) vary?",
            question="If all vectors f(x) of a head were of one length, weights would tell all.",
            definition="""For each head the standard deviation of ‖f(x_j)‖ over all tokens of all texts, divided by
                its mean.""",
            conclude="That weights and norms of what is added can differ; not yet where they do.",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

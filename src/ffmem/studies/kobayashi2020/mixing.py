"""The second paper, of 2021: how much of what a position carries on comes from others."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from ffmem.analyses.attention.mixing import MixingVariant
from ffmem.analyses.intervals import Sums, mean_ratio, numbered
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.kobayashi2020.findings import attention_of, is_there, sample_of
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, every

_PAPER_MIXING: dict[MixingVariant, str] = {
    "Attn-W": "96.4",
    "Attn-N": "85.3",
    "AttnRes-W": "48.2",
    "AttnRes-N": "22.3",
    "AttnResLn-N": "18.8",
}
"""In per cent, in the order in which mixing shrinks."""
_PAPER_FREQUENCY: dict[MixingVariant, str] = {
    "Attn-W": ".159",
    "Attn-N": "-.387",
    "AttnRes-W": ".159",
    "AttnRes-N": "-.839",
    "AttnResLn-N": "-.544",
}


def _means(findings: Findings) -> dict[MixingVariant, float]:
    """The mean over layers of each variant."""
    mixing = attention_of(findings).mixing
    return {variant: float(np.mean([one.value for one in layers])) for variant, layers in mixing.items()}


def _reading(findings: Findings) -> str:
    means = ", ".join(f"{variant} {100 * mean:.0f} %" for variant, mean in _means(findings).items())
    return f"Means over layers: {means}."


def _numbers(findings: Findings) -> Iterator[Number]:
    for variant, mean in _means(findings).items():
        yield Number(f"mixing ratio, {variant}", f"{_PAPER_MIXING[variant]} %", mean)
    for variant, one in attention_of(findings).frequency_mixing.items():
        yield Number.of(f"Spearman of frequency rank and {variant}", _PAPER_FREQUENCY[variant], one, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    means, by_text = _means(findings), attention_of(findings).by_text
    steps = {variant: means[variant] for variant in _PAPER_MIXING if variant in means}
    groups, n_groups = numbered(np.array(by_text.documents))
    shrinks = [
        mean_ratio(
            Sums.of(np.array(by_text.mixing[before]) - np.array(by_text.mixing[after]), groups, n_groups).differences
        )
        for before, after in pairwise(steps)
    ]
    told = ", ".join(f"{name} {100 * value:.1f} %" for name, value in steps.items())
    least = min(shrinks, key=lambda one: one.value)
    low, high = least.interval()
    yield Claim(
        "with norms, the residual connection and the norm behind it, mixing shrinks at each step",
        every(*map(above, shrinks)),
        f"{told}; the smallest step, of the same texts, is {100 * least.value:.1f} points ({100 * low:.1f} to "
        f"{100 * high:.1f})",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = attention_of(findings)
    rows = [
        row
        for layer in range(len(found.layers))
        for variant, layers in found.mixing.items()
        for row in found.rows(layer, variant, layers[layer])
    ]
    caption = "Mixing ratio: how much of a position comes from others, by each way to measure it."
    yield Chart("mixing", caption, "lines", rows, "mixing ratio")


CHAPTER = Chapter(
    order=4,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=2021,
            name="2021",
            title="How much is mixed?",
            question="How much of what a position carries on comes from other positions?",
            definition="""‖what others bring‖ / (‖what others bring‖ + ‖what is its own‖), biases left out; W: by
                weights; N: by norms; Res: its own is also what was in the stream; Ln: behind the norm of the sum.""",
            conclude="""The papers' ratio for models with the norm behind the sum; where the norm stands before, Ln
                has no meaning.""",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

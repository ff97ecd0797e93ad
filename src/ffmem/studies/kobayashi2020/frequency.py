"""Section 4.3: frequent words are discounted by the length of their vectors."""

from collections.abc import Iterator

from ffmem.analyses.resampling import jackknifed
from ffmem.studies.exhibit import Claim, Exhibit, Number
from ffmem.studies.kobayashi2020.findings import attention_of, is_there, sample_of
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above, every


def _reading(findings: Findings) -> str:
    found = attention_of(findings)
    return (
        f"Spearman's correlation with frequency rank is {found.frequency_norm.value:.2f} for ‖f(x)‖ and "
        f"{found.frequency_weight.value:.2f} for weights."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = attention_of(findings)
    yield Number.of("Spearman of frequency rank and ‖f(x)‖", "~ 0.75", found.frequency_norm, unit="")
    yield Number.of("Spearman of frequency rank and weight", "~ 0.06", found.frequency_weight, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    found = attention_of(findings)
    norm, weight, by_text = found.frequency_norm, found.frequency_weight, found.by_text
    parts = zip(by_text.frequency_norm_without, by_text.frequency_weight_without, strict=True)
    lead = jackknifed(norm.value - weight.value, [one - other for one, other in parts], norm.n)
    low, high = lead.interval()
    yield Claim(
        "rarer words have longer vectors, and norms follow frequency more than weights do",
        every(
            above(jackknifed(norm.value, by_text.frequency_norm_without, norm.n), unit=_UNIT), above(lead, unit=_UNIT)
        ),
        f"Spearman of frequency rank: norm {norm.value:.2f} ({norm.low:.2f} to {norm.high:.2f}), weight {weight.value:.2f}; "
        f"the first is more by {lead.value:.2f} ({low:.2f} to {high:.2f})",
    )


_UNIT = "of Spearman's correlation"


CHAPTER = Chapter(
    order=3,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=4.3,
            name="4.3",
            title="Are frequent words discounted?",
            question="Do rare words weigh more, and is it weights or norms that say so?",
            definition="""For each token its mean ‖f(x)‖ over heads and layers, and the mean weight that it gets from
                the queries that may look at it, against the rank of its frequency in this corpus (1: most frequent).
                Special tokens are left out.""",
            conclude="A correlation over tokens of running text: frequent words count as often as they come.",
            applies=is_there,
            reading=_reading,
            sample=sample_of,
            numbers=_numbers,
            claims=_claims,
        ),
    ),
)

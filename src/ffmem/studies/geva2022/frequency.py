"""Cells of the last layer that move predictions towards how frequent tokens are, or away from it: Stolfo et al. 2024."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import interval, points, share
from ffmem.studies.geva2022.confidence import applies, confidence, effect, mediated, nats, sample, table
from ffmem.studies.geva2022.context import Geva2022
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above

GROUP = "frequency"


def _reading(findings: Findings) -> str:
    found, pair = confidence(findings), mediated(findings, GROUP)
    if pair is None:
        return "Nothing changes when these cells are put to their mean."
    named = ", ".join(one.cell for one in found.cells if one.group == GROUP)
    return (
        f"Of the effect of {named} on the divergence from the unigram distribution, {share(pair.own.value)} goes along the "
        f"direction of frequency; of cells with values as long, {share(pair.other.value)}."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    pair, size = mediated(findings, GROUP), effect(findings, GROUP)
    yield Number(
        "how well one direction scores tokens by frequency (correlation)",
        "-",
        confidence(findings).direction_fit,
        unit="",
    )
    if pair is None or size is None:
        return
    yield Number.of("effect on the divergence that the direction mediates, frequency cells", "-", pair.own.estimate)
    yield Number.of("the same of cells with values as long", "-", pair.other.estimate)
    yield Number.of("change of the divergence by one frequency cell", "-", size.own.estimate, "nats")
    yield Number.of("the same by a cell with a value as long", "-", size.other.estimate, "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    pair, size = mediated(findings, GROUP), effect(findings, GROUP)
    if pair is None or size is None:
        return
    yield Claim(
        "frequency cells act along one direction: more of their effect is mediated by it than of cells as long",
        above(pair.less),
        f"mediated: frequency cells {interval(pair.own.estimate)}, cells with values as long "
        f"{interval(pair.other.estimate)}; the first less the second: {points(pair.less)}",
    )
    yield Claim(
        "frequency cells move predictions along how frequent tokens are more than cells as long",
        above(size.less, unit="nats"),
        f"mean size of the change of the divergence: {nats(size.own)} and {nats(size.other)} nats; the first less the second: "
        f"{nats(size.less)}",
    )


CHAPTER: Chapter[Geva2022] = Chapter(
    order=3.5,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=6,
            name="Frequency cells",
            title="Cells that act along token frequency",
            question="Are there cells in the last layer that raise frequent tokens, or lower them, all at once?",
            definition="""
The direction of frequency is the state d whose scores U' d are nearest to the logarithm of how often tokens follow others in
the indexed text (each counted once more than it does), both less their means. Frequency cells: those whose values' scores
correlate most with that logarithm, either way. Each is put to its mean; the effect is on KL(unigram || p). Mediated: 1 - sum
|effect with what scores have of U' d kept| / sum |effect|, over positions.""",
            conclude="""
The cells are chosen by how far their scores go along that direction, so that a larger mediated share than that of cells as long
is to be expected, in any model; how large the effect is, is not said by the choice. A share below 0: with that part kept, the
change is larger.""",
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            tables=lambda findings: table(findings, GROUP),
        ),
    ),
)

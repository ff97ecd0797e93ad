"""Whether the largest sub-updates promote tokens or suppress them: Geva et al. 2022, section 5."""

from collections.abc import Iterator

from ffmem.analyses.intervals import Uncertain, mean_ratio
from ffmem.analyses.updates.dominant import Stat, Token
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import line_rows, share
from ffmem.studies.geva2022.context import Geva2022
from ffmem.studies.geva2022.sub_updates import AtPositions, applies, at_positions, sample, updates
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above

_UNIT = "standard deviations"


def _at(findings: Findings) -> AtPositions:
    return at_positions(Results(findings.folder, findings.header))


def _pooled(at: AtPositions, stat: Stat, token: Token, *, random: bool = False) -> Uncertain:
    return mean_ratio(at.pooled(at.where_it_changes(stat, token, random=random)))


def _sd(found: Uncertain) -> str:
    low, high = found.interval()
    ends = f" ({low:+.2f} to {high:+.2f})" if low == low else ""
    return f"{found.value:+.2f}{ends}"


def _reading(findings: Findings) -> str:
    at = _at(findings)
    if not at.found.changes.any():
        return "No layer replaces a candidate at any of the positions."
    lifted, fallen = (_pooled(at, "score", token).value for token in ("next", "candidate"))
    return (
        f"Where a layer replaces the candidate, its dominant sub-updates score the new top token {lifted:+.2f} standard "
        f"deviations from the mean of all tokens, and the candidate that falls {fallen:+.2f}: "
        f"{share(_pooled(at, 'suppresses', 'candidate').value)} of them put it more than one below."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    at, last = _at(findings), updates(findings).layers[-1]
    if not at.found.changes.any():
        return
    told: tuple[tuple[Token, str, str], ...] = (
        ("next", "the new top token", "-"),
        ("candidate", "the candidate that falls", "about 0"),
    )
    for token, name, paper in told:
        yield Number.of(f"score of {name}", paper, _pooled(at, "score", token).estimate, _UNIT)
        yield Number.of(
            f"the same by random cells: {name}", "-", _pooled(at, "score", token, random=True).estimate, _UNIT
        )
    yield Number.of("dominant sub-updates for the new top token", "-", _pooled(at, "positive", "next").estimate)
    yield Number.of(
        "more than 1 against the candidate that falls", "-", _pooled(at, "suppresses", "candidate").estimate
    )
    yield Number.of("more than 1 for the candidate that falls", "-", _pooled(at, "promotes", "candidate").estimate)
    final = last.scored["final"]
    yield Number.of("for the prediction, highest layer", "-", final.dominant["positive"])
    yield Number.of("random cells for the prediction, highest layer", "-", final.random["positive"])


def _claims(findings: Findings) -> Iterator[Claim]:
    at = _at(findings)
    if not at.found.changes.any():
        return
    lifted, fallen = (at.where_it_changes("score", token) for token in ("next", "candidate"))
    by_random = [at.where_it_changes("score", token, random=True) for token in ("next", "candidate")]
    more = mean_ratio(at.pooled(lifted - by_random[0]).differences)
    yield Claim(
        "dominant sub-updates promote the token that comes to the top",
        above(more, unit=_UNIT),
        f"score of the new top token {_sd(mean_ratio(at.pooled(lifted)))}; less that by random cells: {_sd(more)}",
    )
    both = mean_ratio(at.pooled(lifted + fallen).differences)
    yield Claim(
        "a candidate is passed rather than pushed down: the new token is lifted by more than it is lowered",
        above(both, unit=_UNIT),
        f"score of the new top token {_sd(mean_ratio(at.pooled(lifted)))}, of the candidate that falls "
        f"{_sd(mean_ratio(at.pooled(fallen)))}; their sum {_sd(both)}",
    )
    no_less = mean_ratio(at.pooled(fallen - by_random[1]).differences)
    yield Claim(
        "the candidate that falls is not suppressed: dominant sub-updates score it higher than random cells do",
        above(no_less, unit=_UNIT),
        f"score of the candidate that falls {_sd(mean_ratio(at.pooled(fallen)))}; less that by random cells: {_sd(no_less)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    layers = updates(findings).layers
    rows = line_rows(
        layers,
        {
            "new top token": lambda layer: layer.scored["next"].dominant["score"],
            "candidate that falls": lambda layer: layer.scored["candidate"].dominant["score"],
            "new top token, random cells": lambda layer: layer.scored["next"].random["score"],
            "candidate that falls, random cells": lambda layer: layer.scored["candidate"].random["score"],
        },
    )
    yield Chart(
        "promotion",
        "How the ten largest sub-updates score two tokens where the layer replaces the candidate.",
        "lines",
        rows,
        "standard deviations above the mean of all tokens",
        percent=False,
    )
    rows = line_rows(
        layers,
        {
            "dominant sub-updates": lambda layer: layer.scored["final"].dominant["positive"],
            "random cells": lambda layer: layer.scored["final"].random["positive"],
        },
    )
    yield Chart("for-the-prediction", "Sub-updates that raise the model's prediction.", "lines", rows, "share")


CHAPTER: Chapter[Geva2022] = Chapter(
    order=1.5,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=3,
            name="Promotion",
            title="Do sub-updates promote or suppress?",
            question="Where a layer puts another token on top, do its largest sub-updates lift that one, or lower the old one?",
            definition="""
The score that a sub-update gives a token, less the mean over the vocabulary, in standard deviations of the scores it gives all
tokens; with the sign of the coefficient; the mean of the ten largest. Where a layer replaces the candidate: of the token that
is on top after it, and of the one that was before. Random cells: others of the layer in their places, with the same signs.
"For" a token: a score above 0.""",
            conclude="""
That the new token is scored above the old one follows from its passing it, in any model. What carries is on which side of the
mean both lie, and against random cells, which are against frequent tokens or for them on the whole.""",
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

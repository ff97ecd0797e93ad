"""Can documents that a model was trained on be told from others that are like them?"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.memorised.detection import (
    Scores,
    auc,
    auc_gain,
    auc_over_documents,
    hits,
    hits_over_documents,
    negatives_needed,
)  # fmt: skip
from ffmem.analyses.memorised.losses import token_losses
from ffmem.analyses.memorised.ngrams import NGrams
from ffmem.analyses.memorised.scores import blind_scores, membership_scores
from ffmem.analyses.memorised.texts import known_elsewhere
from ffmem.studies.carlini2021.context import Audit
from ffmem.studies.carlini2021.told import told
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "membership"
_ALARMS = (0.01, 0.001)
_CURVE = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""False alarms at which hits are drawn."""


@dataclass(frozen=True)
class ScoreFound:
    """How well one score tells members from others."""

    name: str
    blind: bool
    """Whether it never sees the model."""
    area: Estimate
    """Under the curve: the chance that a member has the higher score."""
    hits: dict[str, Estimate]
    """Share of members found, by the share of false alarms that is let through; NaN where there are too few to tell."""
    of_members: float
    """Mean."""
    of_others: float


@dataclass(frozen=True)
class MembershipResult:
    """What scores tell of some documents. Those of each document lie beside it as arrays."""

    n_members: int
    n_others: int
    n_left_out: int
    """Said to be new, and in the training text word for word."""
    n_masked: float
    """Share of tokens that do not count, since the rest of the training text hardly has them."""
    scores: tuple[ScoreFound, ...]
    others_apart: Estimate
    """Area of the loss between two random halves of the new documents: what chance gives."""


def _run(audit: Audit, listen: StageListener) -> MembershipResult:
    texts, n_members = audit.members + audit.others, len(audit.members)
    read = [one.ids for one in texts]
    losses = token_losses(audit.model, read, on_texts=lambda done: listen(Stage(EXPERIMENT, done, len(texts))))
    more = [] if audit.reference is None else token_losses(audit.reference, read)
    unigram, bigram = (NGrams([one.ids for one in audit.train], audit.model.facts.d_vocab, order) for order in (1, 2))
    rows, n_tokens, n_kept = [], 0, 0
    for number, (one, found) in enumerate(zip(texts, losses, strict=True)):
        in_training = number < n_members
        kept = known_elsewhere(one, audit.counts, in_training=in_training)
        single, pair = (grams.losses(one.ids, leave_out=in_training) for grams in (unigram, bigram))
        references = {"unigram": single, "bigram": pair} | ({"reference model": more[number].loss} if more else {})
        unknown = np.zeros(len(one.ids), dtype=bool) if audit.unknown is None else one.ids == audit.unknown
        rows.append(
            membership_scores(found.loss, kept, one.text, references)
            | {f"blind: {name}": value for name, value in blind_scores(kept, unknown, single, pair).items()}
        )
        n_tokens, n_kept = n_tokens + len(kept), n_kept + int(kept.sum())
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    audit.results.save_arrays(EXPERIMENT, table | {"member": np.arange(len(rows)) < n_members})
    loss = table["loss"][n_members:]
    mixed = np.random.default_rng([audit.options.seed, 43]).permutation(len(loss))
    halves = loss[mixed[::2]], loss[mixed[1::2]]
    return MembershipResult(
        n_members=n_members,
        n_others=len(texts) - n_members,
        n_left_out=audit.n_left_out,
        n_masked=1 - n_kept / n_tokens,
        scores=tuple(_score(name, values[:n_members], values[n_members:]) for name, values in table.items()),
        others_apart=auc_over_documents(_there(halves[0]), _there(halves[1])).estimate,
    )


def _there(values: Scores) -> Scores:
    found: np.ndarray = values[np.isfinite(values)]
    return found


def _score(name: str, members: Scores, others: Scores) -> ScoreFound:
    members, others = _there(members), _there(others)
    return ScoreFound(
        name=name.removeprefix("blind: "),
        blind=name.startswith("blind: "),
        area=auc_over_documents(members, others).estimate,
        hits={f"{alarms:g}": hits_over_documents(members, others, alarms).estimate for alarms in _ALARMS},
        of_members=float(members.mean()) if len(members) else np.nan,
        of_others=float(others.mean()) if len(others) else np.nan,
    )


def _found(findings: Findings) -> MembershipResult:
    return findings.get(EXPERIMENT, MembershipResult)


def _own(findings: Findings) -> list[ScoreFound]:
    return [one for one in _found(findings).scores if not one.blind]


def _blind(findings: Findings) -> list[ScoreFound]:
    return [one for one in _found(findings).scores if one.blind]


def told_apart_blind(findings: Findings) -> list[ScoreFound]:
    """Scores that never see the model and tell members from others all the same: the two are then not alike.

    By one correction for all of them, so that of texts that are alike one in twenty is warned of.
    """
    arrays, blind = Results(findings.folder, findings.header).load_arrays(EXPERIMENT), _blind(findings)
    member = arrays["member"].astype(bool)
    found = []
    for one in blind:
        values = arrays[f"blind: {one.name}"]
        area = auc_over_documents(_there(values[member]), _there(values[~member]))
        low, high = area.interval(0.05 / len(blind))
        if low > 0.5 or high < 0.5:
            found.append(one)
    return found


def _reading(findings: Findings) -> str:
    own = _own(findings)
    best = max(own, key=lambda one: one.area.value)
    farthest = max(_blind(findings), key=lambda one: abs(one.area.value - 0.5))
    return (
        f"By its loss alone a document of the training text is told from a new one with an area of {own[0].area.value:.3f}; "
        f"best by {best.name}: {best.area.value:.3f}. Without the model: {farthest.area.value:.3f} at most, by {farthest.name}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return (
        f"{found.n_members:,} documents of the training text and {found.n_others:,} new ones; {share(found.n_masked)} of "
        f"tokens do not count"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _found(findings).scores:
        name = f"{one.name}, without the model" if one.blind else one.name
        yield Number.of(f"area under the curve, {name}", "0.5 by chance", one.area, "")
    yield Number.of(
        "area of the loss between halves of the new documents", "0.5 by chance", _found(findings).others_apart, ""
    )
    for one in _own(findings):
        for alarms, estimate in one.hits.items():
            if not np.isnan(estimate.value):
                paper = f"{100 * float(alarms):g} % by chance"
                yield Number.of(f"members found at {100 * float(alarms):g} % false alarms, {one.name}", paper, estimate)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    member = arrays["member"].astype(bool)
    loss = (arrays["loss"][member], arrays["loss"][~member])
    less = (arrays["loss - unigram"][member], arrays["loss - unigram"][~member])
    there = [np.isfinite(one) & np.isfinite(other) for one, other in zip(loss, less, strict=True)]
    loss = (loss[0][there[0]], loss[1][there[1]])
    less = (less[0][there[0]], less[1][there[1]])
    area = auc_over_documents(*loss)
    yield Claim(
        "documents of the training text have a lower loss than new ones",
        above(area, 0.5, ""),
        f"area under the curve {told(area.estimate)}, where chance gives 0.5",
    )
    gain = auc_gain(less, loss)
    yield Claim(
        "a reference helps: the loss less that of a unigram model tells more than the loss",
        above(gain, unit=""),
        f"areas {auc(*less):.3f} and {auc(*loss):.3f}; the first less the second: {told(gain.estimate)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    member, rows = arrays["member"].astype(bool), list[Row]()
    best = max(_own(findings), key=lambda one: one.area.value).name
    shares = [alarms for alarms in _CURVE if _found(findings).n_others >= negatives_needed(alarms)]
    shown = {"loss": "loss", best: best, "without the model: bigram loss": "blind: bigram loss"}
    for series, name in shown.items():
        members, others = _there(arrays[name][member]), _there(arrays[name][~member])
        rows += [_point(series, alarms, hits(members, others, alarms), len(members)) for alarms in shares]
    rows += [_point("chance", alarms, alarms, 0) for alarms in shares]
    yield Chart(
        "members-found",
        "Members found at each share of false alarms.",
        "points",
        rows,
        "members found",
        "false alarms (1 = all)",
    )


def _point(series: str, alarms: float, value: float, n: int) -> Row:
    place = {"middle": alarms, "from": alarms, "to": alarms, "series": series}
    return place | {"value": value, "low": value, "high": value, "n": n}


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {
            "score": one.name,
            "sees the model": "no" if one.blind else "yes",
            "area": told(one.area),
            "mean, training text": round(one.of_members, 4),
            "mean, new": round(one.of_others, 4),
        }
        for one in _found(findings).scores
    ]
    yield Table("membership-scores", "Every score, and what it is on either side.", tuple(rows[0]), rows)


def _notes(findings: Findings) -> Iterator[str]:
    found = _found(findings)
    for one in told_apart_blind(findings):
        yield (
            f"Warning: {one.name}, which never sees the model, tells the two kinds of documents apart (area {told(one.area)}). "
            "They are not of one distribution, so no area above says what the model remembers."
        )
    if found.n_left_out:
        yield f"{found.n_left_out:,} documents that were said to be new stand in the training text word for word; left out."
    few = [alarms for alarms in _ALARMS if found.n_others < negatives_needed(alarms)]
    for alarms in few:
        yield (
            f"Nothing is said of {100 * alarms:g} % false alarms: that takes {negatives_needed(alarms):,} new documents, and "
            f"there are {found.n_others:,}."
        )


CHAPTER: Chapter[Audit] = Chapter(
    order=1,
    experiments=lambda _: (Experiment(EXPERIMENT, MembershipResult, _run),),
    results={EXPERIMENT: MembershipResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Membership",
            title="Documents of the training text told from new ones",
            question="Can documents that the model was trained on be told from others that are like them?",
            definition="""
Scores of a document, the higher the more likely trained on: minus its loss, in nats a token; that by its bytes under
zlib; min-20 %, the mean of the lowest fifth of its log-probabilities; the loss of a reference less its own. References
have read the same training text: counts of single tokens and of pairs, without the document itself. A token counts if the
rest of the training text has what it stands for twice or more. Area under the curve: the chance that a document of the
training text has a higher score than a new one.""",
            conclude="""
What is said is of a population and a text like this: no score is a verdict on one document. An area within two errors of
one half is no evidence. Scores without the model have to be near one half; where one is not, the two kinds of documents
differ, and the areas say nothing about memory. Low areas are no guarantee of privacy: another attack may do better.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

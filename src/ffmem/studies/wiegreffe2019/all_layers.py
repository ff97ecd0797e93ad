"""Other weights in all heads at once."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.diagnostics.patched import PATCHES, Costs, Patch, costs_of, joined
from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, below
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.shown import NAMES, ByDocument, told

EXPERIMENT = "all-heads"
_NEAR = 0.05
"""Of what is lost without any attention: so much is near to nothing."""
CONDITIONS: tuple[tuple[Patch, bool], ...] = (
    *((patch, False) for patch in PATCHES),
    *((patch, True) for patch in PATCHES),
    ("nothing", False),
    ("own", False),
)
"""A patch, and whether the first source keeps its weight."""


@dataclass(frozen=True)
class Cost:
    """What one patch costs."""

    patch: Patch
    keep_first: bool
    change: Estimate
    """Of the next token's loss, in nats."""
    divergence: Estimate
    distance: Estimate


@dataclass(frozen=True)
class AllHeadsResult:
    """What patches of all heads cost; what they cost at each position lies beside it as arrays."""

    n_positions: int
    n_texts: int
    n_documents: int
    n_heads: int
    """Of all sub-layers together."""
    covered: Estimate
    """Share of positions at which some text had a frozen row."""
    loss: Estimate
    costs: tuple[Cost, ...]
    own_distance: float
    """The largest TVD with the model's own weights put in their own place: how exact replacing is."""


def _run(study: Wiegreffe2019, listen: StageListener) -> AllHeadsResult:
    texts = study.some_texts(study.options.positions)
    some = []
    for number, text in enumerate(texts):
        other = study.replacements(text, number)
        given = [other.given(patch, keep_first=keep_first) for patch, keep_first in CONDITIONS]
        some.append(costs_of(study.model, text, given))
        listen(Stage(EXPERIMENT, number + 1, len(texts)))
    found = joined(some)
    covered = np.concatenate([(study.frozen.n_texts[text.at.cpu()] > 0).numpy() for text in texts])
    study.results.save_arrays(
        EXPERIMENT,
        {name: getattr(found, name) for name in ("document", "loss", "change", "divergence", "distance")},
    )
    at = ByDocument(found.document)
    return AllHeadsResult(
        n_positions=len(found.loss),
        n_texts=len(texts),
        n_documents=at.n_documents,
        n_heads=sum(one.n_heads for one in study.model.attention_layers),
        covered=at.estimate(covered.astype(float)),
        loss=at.estimate(found.loss),
        costs=tuple(
            Cost(
                patch, keep_first,
                *(at.estimate(of[:, number]) for of in (found.change, found.divergence, found.distance)),
            )
            for number, (patch, keep_first) in enumerate(CONDITIONS)
        ),
        own_distance=float(found.distance[:, CONDITIONS.index(("own", False))].max()),
    )  # fmt: skip


def costs_in(findings: Findings) -> Costs:
    """What each patch costs at each position."""
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    return Costs(**{name: arrays[name] for name in ("document", "loss", "change", "divergence", "distance")})


def _result(findings: Findings) -> AllHeadsResult:
    return findings.get(EXPERIMENT, AllHeadsResult)


def _cost(found: AllHeadsResult, patch: Patch, *, keep_first: bool = False) -> Cost:
    return found.costs[CONDITIONS.index((patch, keep_first))]


def _reading(findings: Findings) -> str:
    found = _result(findings)
    uniform, kept = (_cost(found, "uniform", keep_first=keep) for keep in (False, True))
    nothing = _cost(found, "nothing").change.value
    return (
        f"With uniform weights in all {found.n_heads:,} heads the next token's loss changes by {uniform.change.value:+.3g} "
        f"nats, and by {kept.change.value:+.3g} where the first source keeps its weight; without any attention by "
        f"{nothing:+.3g}. The mean map of other texts costs {_cost(found, 'frozen').change.value:+.3g}, norms of values alone "
        f"{_cost(found, 'norms').change.value:+.3g}."
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_positions:,} positions in {found.n_texts:,} held-out sentences of {found.n_documents:,} documents; "
        "intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    paper = {"uniform": "F1 ~ .822 for .831 (SST), ~ .879 for .902 (IMDb), ~ .706 for .775 (Diabetes)"}
    yield Number.of("loss of the next token with own weights", "-", found.loss, "nats")
    for one in found.costs:
        if one.patch == "own":
            continue
        kept = ", but for the first source" if one.keep_first else ""
        told_by = "-" if one.keep_first else paper.get(one.patch, "-")
        yield Number.of(f"more with weights {NAMES[one.patch]}{kept}", told_by, one.change, "nats")
    for patch in ("uniform", "frozen", "norms"):
        yield Number.of(f"TVD of predictions, {NAMES[patch]}", "-", _cost(found, patch).distance, "")
    yield Number("largest TVD with own weights put in their own place", "-", found.own_distance, unit="")


def _claims(findings: Findings) -> Iterator[Claim]:
    found, costs = _result(findings), costs_in(findings)
    at = ByDocument(costs.document)

    def change(patch: Patch, *, keep_first: bool = False) -> np.ndarray:
        column: np.ndarray = costs.change[:, CONDITIONS.index((patch, keep_first))]
        return column

    if _cost(found, "nothing").change.value > 0:
        left = at.difference(change("uniform"), _NEAR * change("nothing"))
        yield Claim(
            "uniform weights do nearly as well as own ones: they lose no more than "
            f"{100 * _NEAR:.0f} % of what is lost without any attention",
            below(left, unit="nats"),
            f"what is lost, less {100 * _NEAR:.0f} % of what is lost without attention: {told(left)}",
        )
    for statement, worse, better in (
        (
            "where a position is says something: the mean map of other texts is better than uniform weights",
            "uniform",
            "frozen",
        ),
        ("what tokens are says something: own weights are better than the mean map of other texts", "frozen", "own"),
        ("norms of values alone, which ask no query, guide better than uniform weights", "uniform", "norms"),
    ):
        more = at.difference(change(worse), change(better))  # type: ignore[arg-type] # names of patches
        yield Claim(
            statement,
            above(more, unit="nats"),
            f"weights {NAMES[worse]} lose more than {NAMES[better]}: {told(more)}",  # type: ignore[index] # names of patches
        )
    more = at.difference(change("uniform"), change("uniform", keep_first=True))
    yield Claim(
        "some of what uniform weights cost is that no head can look away to the first source any more",
        above(more, unit="nats"),
        f"what they lose more than where that keeps its weight: {told(more)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    for name, of, title, caption in (
        (
            "patched-loss",
            "change",
            "loss, nats more",
            "What the next token's loss gains with other weights in all heads.",
        ),
        ("patched-distance", "distance", "TVD(p, p')", "How far predictions go with other weights in all heads."),
    ):
        rows = [
            {"panel": title if not one.keep_first else f"{title}; first source kept", "category": NAMES[one.patch]}
            | {"series": "patch", "value": getattr(one, of).value, "percent": False}
            for one in found.costs
            if one.patch in PATCHES
        ]
        yield Chart(name, caption, "panels", rows, "", percent=False)


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [
        {"weights": NAMES[one.patch], "first source": "keeps its own" if one.keep_first else "as the others"}
        | {
            f"loss, {name}": plain(getattr(one.change, of))
            for name, of in (("more", "value"), ("low", "low"), ("high", "high"))
        }
        | {"KL(p || p')": plain(one.divergence.value)}
        | {
            f"TVD{name}": plain(getattr(one.distance, of))
            for name, of in (("", "value"), (", low", "low"), (", high", "high"))
        }
        for one in _result(findings).costs
    ]
    yield Table(
        "patched", "Other weights in all heads; losses and divergences in nats", tuple(rows[0]), rows, folded=True
    )


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    if found.covered.value < 1:
        yield (
            f"{100 * (1 - found.covered.value):.1f} % of the positions lie behind the end of every sentence that the frozen "
            "map was made of: their rows in it are uniform."
        )


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment(EXPERIMENT, AllHeadsResult, _run)],
    results={EXPERIMENT: AllHeadsResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Section 3.1",
            title="Are the weights needed?",
            question="If all heads are given other weights, how much worse are predictions?",
            definition="""
In every sub-layer and head the row alpha_i of weights over the sources that a query may look at is replaced, and the
model goes on from there. By what: 1 / their number (uniform, the paper's, who train with them); the mean map of other
texts at the same positions (frozen); the weights that the model gives to the same tokens in random order; its own weights
of the row in random order; shares of ‖f(x_j)‖, f(x) = (x W_V + b_V) W_O, so that queries and keys have no part in it.
Each also where the first source, a BOS or the token that stands there, keeps its weight: much of it is a place to look at
when there is nothing to look for. Measured: by how much -ln p of the token that follows grows, KL(p || p'), and TVD(p,
p').""",
            conclude="""
Where uniform weights are harmless, weights are not needed for this text; nothing may be said about explanations by them.
Where they are not, weights do something; whether a reader learns from them what the model did (faithful), or what seems
right to people (plausible), is not measured. The model is not trained anew with such weights, as the paper's are: one
that is may do better.""",
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

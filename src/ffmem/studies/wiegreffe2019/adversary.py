"""Other weights with the same predictions, looked for on each text by itself."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.diagnostics.adversary import LIMIT, Adversary, adversary_of
from ffmem.analyses.diagnostics.unlike import BINS, bin_of
from ffmem.analyses.intervals import Estimate
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.shown import ByDocument, told

EXPERIMENT = "adversary"
SCOPES = ("all heads", "one sub-layer")
_SERIES = {
    "jsd": "adversary: weights",
    "norm_jsd": "adversary: ‖αf‖",
    "chance_jsd": "random scores: weights",
    "chance_norm_jsd": "random scores: ‖αf‖",
}


@dataclass(frozen=True)
class Scope:
    """What may be changed: all heads at once, or those of the sub-layer in the middle."""

    name: str
    sublayers: tuple[str, ...]
    distance: float
    """The largest TVD of what was found."""
    chance_distance: float
    means: dict[str, Estimate]
    """Of each of `_SERIES`: mean JSD over rows, in nats."""
    by_bin: dict[str, tuple[Estimate, ...]]
    """The same by the largest of the model's own weights of a row: see `BINS`."""


@dataclass(frozen=True)
class AdversaryResult:
    """What was found; the numbers of each row lie beside it as arrays."""

    n_texts: int
    n_documents: int
    n_steps: int
    limit: float
    scopes: tuple[Scope, ...]


def _run(study: Wiegreffe2019, listen: StageListener) -> AdversaryResult:
    names, options = study.sublayers(), study.options
    chosen = dict(zip(SCOPES, (tuple(names), (names[len(names) // 2],)), strict=True))
    texts = study.texts[: options.adversary_texts]
    arrays: dict[str, np.ndarray] = {}
    scopes = []
    for number, (scope, sublayers) in enumerate(chosen.items()):
        found: list[Adversary] = []
        for text in texts:
            seed = options.seed * 1_000_003 + len(found)
            found.append(
                adversary_of(study.model, text.ids, steps=options.adversary_steps, layers=sublayers, seed=seed)
            )
            listen(Stage(EXPERIMENT, number * len(texts) + len(found), len(SCOPES) * len(texts)))
        rows = _rows(found, [text.document for text in texts])
        arrays |= {f"{number}.{name}": values for name, values in rows.items()}
        scopes.append(_scope(scope, sublayers, found, rows))
    study.results.save_arrays(EXPERIMENT, arrays)
    n_documents = len({text.document for text in texts})
    return AdversaryResult(len(texts), n_documents, options.adversary_steps, LIMIT, tuple(scopes))


def _rows(found: list[Adversary], documents: list[int]) -> dict[str, np.ndarray]:
    """Every row of every text."""
    columns = {
        "largest": [one.largest for one in found],
        "jsd": [one.found.jsd for one in found],
        "norm_jsd": [one.found.norm_jsd for one in found],
        "chance_jsd": [one.chance.jsd for one in found],
        "chance_norm_jsd": [one.chance.norm_jsd for one in found],
        "document": [np.full(len(one.largest), document) for one, document in zip(found, documents, strict=True)],
    }
    return {name: np.concatenate(some) for name, some in columns.items()}


def _scope(name: str, sublayers: tuple[str, ...], found: list[Adversary], rows: dict[str, np.ndarray]) -> Scope:
    at, bins = ByDocument(rows["document"]), bin_of(rows["largest"])
    return Scope(
        name=name,
        sublayers=sublayers,
        distance=max(one.found.distance for one in found),
        chance_distance=max(one.chance.distance for one in found),
        means={series: at.estimate(rows[series]) for series in _SERIES},
        by_bin={
            series: tuple(at.estimate(np.where(bins == one, rows[series], np.nan)) for one in range(len(BINS) - 1))
            for series in _SERIES
        },
    )


def _result(findings: Findings) -> AdversaryResult:
    return findings.get(EXPERIMENT, AdversaryResult)


def _of_scope(findings: Findings, number: int) -> dict[str, np.ndarray]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    return {name: arrays[f"{number}.{name}"] for name in (*_SERIES, "document")}


def _reading(findings: Findings) -> str:
    return "; ".join(
        f"{one.name}: with TVD of at most {one.distance:.3g} weights go {one.means['jsd'].value:.3g} nats of JSD away, rows of "
        f"‖αf‖ {one.means['norm_jsd'].value:.3g}, random scores {one.means['chance_jsd'].value:.3g}"
        for one in _result(findings).scopes
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_texts:,} held-out sentences of {found.n_documents:,} documents, {found.n_steps} steps each, TVD of "
        f"predictions at most {found.limit} as a mean over positions; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).scopes:
        for series, name in _SERIES.items():
            paper = "near ln 2 = 0.69 for many texts (Jain & Wallace's search)" if series == "jsd" else "-"
            yield Number.of(f"{one.name}, {name}: JSD", paper, one.means[series], "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    for number, one in enumerate(_result(findings).scopes):
        rows = _of_scope(findings, number)
        at = ByDocument(rows["document"])
        more = at.difference(rows["jsd"], rows["chance_jsd"])
        yield Claim(
            f"{one.name}: there are weights with the same predictions that are farther away than chance gets",
            above(more, unit="nats"),
            f"JSD from the model's own, more than that of random scores within the same TVD: {told(more)}",
        )
        more = at.difference(rows["jsd"], rows["norm_jsd"])
        yield Claim(
            f"{one.name}: what the adversary changes is seen less in norms of what is added than in weights",
            above(more, unit="nats"),
            f"JSD of weights, less that of rows of ‖αf‖: {told(more)}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    for one in _result(findings).scopes:
        rows: list[Row] = [
            {"middle": (BINS[place] + BINS[place + 1]) / 2 + 0.012 * (number - 1.5), "series": name}
            | {"name": f"largest weight {BINS[place]:g} to {BINS[place + 1]:g}"}
            | plain(one.by_bin[series][place])
            for number, (series, name) in enumerate(_SERIES.items())
            for place in range(len(BINS) - 1)
            if one.by_bin[series][place].n
        ]
        yield Chart(
            f"adversary-{one.name.replace(' ', '-')}",
            f"How far weights can go while predictions stay, by the largest own weight of a row: {one.name}.",
            "scatter", rows, "JSD, nats (ln 2 at most)", x_title="largest weight of the row", percent=False,
        )  # fmt: skip


CHAPTER = Chapter(
    order=3,
    experiments=lambda _: [Experiment(EXPERIMENT, AdversaryResult, _run)],
    results={EXPERIMENT: AdversaryResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Addition",
            title="Do other weights predict the same?",
            question="On one text, how far can weights go from the model's own while its predictions stay?",
            definition="""
Something is added to the logarithms of all weights, in all heads or in those of the sub-layer in the middle, and chosen
by slopes so that JSD(alpha, alpha') grows, mean over heads and queries of two sources or more, while TVD(p, p') stays
within 0.01, mean over the positions of the text. Beside it: random numbers in the place of what is added, stretched as
far as the same limit lets them be. Rows of ‖alpha f(x)‖ (shares of what each source adds) are compared in the same way, f
being that of each pass.""",
            conclude="""
That such weights exist for one text proves little: they are of no one model, and each text has its own. JSD is in nats,
ln 2 at most. A search finds some weights, not those that are farthest away: more steps may find others. The paper's
classifiers have one attention layer, and a prediction for each text; here many heads have to stay right at all positions
together.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

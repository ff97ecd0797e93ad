"""How much maps vary from one training, or one moment of it, to another."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.diagnostics.maps import Maps, maps_of
from ffmem.analyses.diagnostics.unlike import BINS, Unlike, bin_of, check_alike, head_distances, unlike
from ffmem.analyses.intervals import Estimate
from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above
from ffmem.studies.wiegreffe2019.context import Wiegreffe2019
from ffmem.studies.wiegreffe2019.options import DiagnosticOptions
from ffmem.studies.wiegreffe2019.shown import ByDocument, told

EXPERIMENT = "variance"
_POSITIONS = 600
"""Most positions of whose sentences maps are compared; half of them only say which heads belong together."""
_SERIES = {"jsd": "weights", "norm_jsd": "‖αf‖", "own": "weights, the nearest other head of its own sub-layer"}


@dataclass(frozen=True)
class OtherModel:
    """One other seed or moment."""

    name: str
    weights_sha256: str
    same_head: float
    """Share of heads whose counterpart has the same number: moments of one training keep them."""
    means: dict[str, Estimate]
    """Of each of `_SERIES`: mean JSD over rows, in nats."""
    by_bin: dict[str, tuple[Estimate, ...]]


@dataclass(frozen=True)
class VarianceResult:
    """What was compared; the numbers of each row lie beside it as arrays."""

    n_texts: int
    n_documents: int
    others: tuple[OtherModel, ...]


def _run(study: Wiegreffe2019, listen: StageListener) -> VarianceResult:
    texts = sorted(study.some_texts(min(_POSITIONS, study.options.positions)), key=lambda one: one.document)
    if len(texts) < 2:
        raise InputError(
            f"--positions {study.options.positions} are of {len(texts)} sentence of held-out text",
            "Expected two sentences or more: heads are matched on some, and compared on others",
            f"Write --positions {DiagnosticOptions.positions}",
        )
    half = len(texts) // 2
    own = [maps_of(study.model, text.ids) for text in texts]
    documents = [text.document for text in texts]
    nearest = _counterparts(own[:half], own[:half], but_itself=True)
    others: list[OtherModel] = []
    arrays: dict[str, np.ndarray] = {}
    for number, name in enumerate(study.options.other):
        other = study.another(name)
        check_alike(study.model, other)
        theirs = [maps_of(other, text.ids) for text in texts]
        heads = _counterparts(own[:half], theirs[:half])
        rows = _rows(own[half:], theirs[half:], heads, nearest, documents[half:])
        arrays |= {f"{number}.{key}": values for key, values in rows.items()}
        others.append(_compared(other, heads, rows))
        listen(Stage(EXPERIMENT, number + 1, len(study.options.other)))
    study.results.save_arrays(EXPERIMENT, arrays)
    return VarianceResult(len(texts) - half, len(set(documents[half:])), tuple(others))


def _counterparts(own: list[Maps], theirs: list[Maps], *, but_itself: bool = False) -> dict[str, torch.Tensor]:
    """For each head that of the other model which is nearest over some texts; ``but_itself``: not that of its number."""
    summed: dict[str, torch.Tensor] = {}
    for mine, other in zip(own, theirs, strict=True):
        for name, distances in head_distances(mine, other).items():
            summed[name] = summed.get(name, torch.zeros_like(distances)) + distances
    if but_itself:
        for distances in summed.values():
            distances.fill_diagonal_(torch.inf)
    return {name: distances.argmin(1) for name, distances in summed.items()}


def _rows(
    own: list[Maps],
    theirs: list[Maps],
    heads: dict[str, torch.Tensor],
    nearest: dict[str, torch.Tensor],
    documents: list[int],
) -> dict[str, np.ndarray]:
    """Every row of every text, beside its counterpart's, and beside that of the nearest other head of its own sub-layer."""
    found: list[Unlike] = [unlike(mine, other, heads) for mine, other in zip(own, theirs, strict=True)]
    beside = [unlike(mine, mine, nearest) for mine in own]
    return {
        "largest": np.concatenate([one.largest for one in found]),
        "jsd": np.concatenate([one.jsd for one in found]),
        "norm_jsd": np.concatenate([one.norm_jsd for one in found]),
        "own": np.concatenate([one.jsd for one in beside]),
        "document": np.concatenate([np.full(len(one.jsd), n) for one, n in zip(found, documents, strict=True)]),
    }


def _compared(other: Transformer, heads: dict[str, torch.Tensor], rows: dict[str, np.ndarray]) -> OtherModel:
    at, bins = ByDocument(rows["document"]), bin_of(rows["largest"])
    same = torch.cat([one.cpu() == torch.arange(len(one)) for one in heads.values()])
    return OtherModel(
        name=other.facts.name,
        weights_sha256=other.weights_hash(),
        same_head=float(same.float().mean()),
        means={series: at.estimate(rows[series]) for series in _SERIES},
        by_bin={
            series: tuple(at.estimate(np.where(bins == one, rows[series], np.nan)) for one in range(len(BINS) - 1))
            for series in _SERIES
        },
    )


def _result(findings: Findings) -> VarianceResult:
    return findings.get(EXPERIMENT, VarianceResult)


def _reading(findings: Findings) -> str:
    return "; ".join(
        f"{one.name}: weights differ by {one.means['jsd'].value:.3g} nats of JSD from the nearest head's, rows of ‖αf‖ by "
        f"{one.means['norm_jsd'].value:.3g}, from the nearest other head of the model itself by {one.means['own'].value:.3g}"
        for one in _result(findings).others
    )


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_texts:,} held-out sentences of {found.n_documents:,} documents, others than those by which heads were "
        "matched; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _result(findings).others:
        for series, name in _SERIES.items():
            yield Number.of(f"{one.name}, {name}: JSD", "-", one.means[series], "nats")
        yield Number(f"{one.name}: heads whose nearest one has the same number", "-", one.same_head)


def _claims(findings: Findings) -> Iterator[Claim]:
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    for number, one in enumerate(_result(findings).others):
        rows = {name: arrays[f"{number}.{name}"] for name in (*_SERIES, "document")}
        at = ByDocument(rows["document"])
        for statement, more in (
            (
                "a head is nearer to its counterpart than to any other head of its own",
                at.difference(rows["own"], rows["jsd"]),
            ),
            ("norms of what is added vary less than weights", at.difference(rows["jsd"], rows["norm_jsd"])),
        ):
            yield Claim(f"{one.name}: {statement}", above(more, unit="nats"), f"JSD, less by: {told(-more)}")


def _charts(findings: Findings) -> Iterator[Chart]:
    for number, one in enumerate(_result(findings).others):
        rows: list[Row] = [
            {"middle": (BINS[place] + BINS[place + 1]) / 2 + 0.012 * (column - 1), "series": name}
            | {"name": f"largest weight {BINS[place]:g} to {BINS[place + 1]:g}"}
            | plain(one.by_bin[series][place])
            for column, (series, name) in enumerate(_SERIES.items())
            for place in range(len(BINS) - 1)
            if one.by_bin[series][place].n
        ]
        caption = f"How far maps of {one.name} are from the model's own, by the largest own weight of a row."
        yield Chart(
            f"variance-{number}", caption, "scatter", rows, "JSD, nats (ln 2 at most)",
            x_title="largest weight of the row", percent=False,
        )  # fmt: skip


CHAPTER = Chapter(
    order=4,
    experiments=lambda study: (
        [Experiment(EXPERIMENT, VarianceResult, _run)] if study.options.other and not study.is_control else []
    ),
    results={EXPERIMENT: VarianceResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Section 3.2",
            title="Do weights vary with the seed?",
            question="How far are the maps of another seed, or another moment of training, from the model's own?",
            definition="""
JSD between the rows of each head and those of the nearest head of the other model in the same sub-layer, by the largest
own weight of a row, as in the paper's figure; the same for rows of ‖alpha f(x)‖. Which head is nearest is decided by the
mean JSD on one half of the sentences, and measured on the other. Beside it: the nearest other head of the same sub-layer
of the same model, found in the same way.""",
            conclude="""
Weights that vary much where predictions do not are no property of what was learned. Adversaries that vary less than seeds
do are within what training leaves open. A map that is nearly uniform is near to all others: one that has learned nothing
may be nearer than a head's neighbour. Two models are two: of the spread among seeds one other says little.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

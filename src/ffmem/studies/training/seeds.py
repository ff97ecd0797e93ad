"""Which cells another seed has, too: matched by the correlation of their coefficients, since ids mean nothing between seeds."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.intervals import Estimate, Sums, each_ratio, numbered, proportion
from ffmem.analyses.updates.universal import UNIVERSAL, Counterparts, coefficients_of, counterparts, same_tokens
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.transformer import Transformer
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import interval, line_rows, share
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.training.context import Training
from ffmem.studies.training.courses import arrays_of, moments_in
from ffmem.studies.verdicts import above, below

EXPERIMENT = "seeds"
_FEW = 0.05
"""What "few" is in the claim: the papers' shares are below it."""


@dataclass(frozen=True)
class LayerSeeds:
    """One layer of the last moment."""

    layer: str
    universal: Estimate
    """Share of cells whose best correlation with a cell of the other seed is `UNIVERSAL` above that with random directions."""
    same_layer: Estimate
    """Of these, the share whose counterpart lies in the same layer."""
    best: float
    """Median of the best correlation with a cell of the other seed."""
    random: float
    """Median of the best correlation with a random combination of the cells of one of its layers."""


@dataclass(frozen=True)
class SeedsResult:
    """Cells that were looked for in another seed."""

    other: str
    other_sha256: str
    n_positions: int
    layers: tuple[LayerSeeds, ...]
    n_cells: int
    universal: int
    """Cells of the last moment that the other seed has, too."""
    at_first: int
    """The same of the cells of the first moment: of one that has learned nothing, if it is step 0."""
    of_itself: int
    """Cells of the last moment that the moment before has, too: the ceiling. Found at another id, they count as well."""
    found_itself: int
    """Of these, those whose counterpart is the cell itself."""


def _run(study: Training, listen: StageListener) -> SeedsResult:
    assert study.other is not None
    bos, positions, last = study.index.manifest.options.bos, study.positions, len(study.moments) - 1
    model = study.model(last)
    other = load_indexed_model(study.other, device=str(model.device))
    same_tokens(model, other)
    cells = [
        np.sort(np.random.default_rng([study.options.seed, 34, place]).permutation(n)[: study.options.matched_cells])
        for place, n in enumerate(layer.n_cells for layer in model.facts.layers)
    ]
    theirs = coefficients_of(other, positions, None, bos=bos)
    name, sha256 = study.other.manifest.identity.model.name, other.weights_hash()
    found = _matched(study, model, cells, theirs)
    listen(Stage(EXPERIMENT, 1, 3))
    at_first = _matched(study, study.model(0), cells, theirs)
    listen(Stage(EXPERIMENT, 2, 3))
    of_itself = _matched(study, model, cells, coefficients_of(study.model(last - 1), positions, None, bos=bos))
    names = study.layer_names()
    study.results.save_arrays(EXPERIMENT, _kept(found, at_first))
    return SeedsResult(
        other=name,
        other_sha256=sha256,
        n_positions=len(positions),
        layers=tuple(_of_layer(layer, place, one) for place, (layer, one) in enumerate(zip(names, found, strict=True))),
        n_cells=sum(len(one.cells) for one in found),
        universal=_n(found),
        at_first=_n(at_first),
        of_itself=_n(of_itself),
        found_itself=sum(
            int(((one.excess > UNIVERSAL) & (one.best_layer == place) & (one.best_cell == one.cells)).sum())
            for place, one in enumerate(of_itself)
        ),
    )


def _matched(
    study: Training, model: Transformer, cells: list[np.ndarray], theirs: list[torch.Tensor]
) -> list[Counterparts]:
    own = coefficients_of(model, study.positions, cells, bos=study.index.manifest.options.bos)
    with torch.inference_mode():
        return counterparts(own, cells, theirs, signs=model.facts.gated, seed=study.options.seed)


def _n(found: list[Counterparts]) -> int:
    return sum(int((one.excess > UNIVERSAL).sum()) for one in found)


def _kept(found: list[Counterparts], at_first: list[Counterparts]) -> dict[str, np.ndarray]:
    layer = np.repeat(np.arange(len(found)), [len(one.cells) for one in found])
    columns = {
        "layer": layer,
        "cell": np.concatenate([one.cells for one in found]),
        "excess": np.concatenate([one.excess for one in found]),
        "best": np.concatenate([one.best for one in found]),
        "best_layer": np.concatenate([one.best_layer for one in found]),
        "best_cell": np.concatenate([one.best_cell for one in found]),
        "excess_at_first": np.concatenate([one.excess for one in at_first]),
    }
    return {name: np.asarray(one) for name, one in columns.items()}


def _of_layer(name: str, place: int, found: Counterparts) -> LayerSeeds:
    hits = found.excess > UNIVERSAL
    here = int((hits & (found.best_layer == place)).sum())
    return LayerSeeds(
        name,
        proportion(int(hits.sum()), len(hits)),
        proportion(here, int(hits.sum())),
        float(np.median(found.best)),
        float(np.median(found.random)),
    )


def _applies(findings: Findings) -> bool:
    return EXPERIMENT in findings.values


def _found(findings: Findings) -> SeedsResult:
    return findings.get(EXPERIMENT, SeedsResult)


def _reading(findings: Findings) -> str:
    found = _found(findings)
    return (
        f"{share(found.universal / found.n_cells)} of the cells have a counterpart in {found.other}; of those of the "
        "first moment "
        f"{share(found.at_first / found.n_cells)}. In the moment before, {share(found.of_itself / found.n_cells)} are "
        "found again, "
        f"{found.found_itself:,} of {found.of_itself:,} in their own place."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    return f"{found.n_cells:,} cells at {found.n_positions:,} positions, against all cells of {found.other}"


def _numbers(findings: Findings) -> Iterator[Number]:
    found, papers = _found(findings), "GPT-2 small 4.16 %, medium 1.23 %, Pythia-160M 1.26 %"
    yield Number.of("cells with a counterpart in the other seed", papers, proportion(found.universal, found.n_cells))
    yield Number.of("the same of the cells of the first moment", "-", proportion(found.at_first, found.n_cells))
    yield Number.of("cells found again in the moment before (ceiling)", "-", proportion(found.of_itself, found.n_cells))
    yield Number.of("of these, in their own place", "-", proportion(found.found_itself, found.of_itself))


def _claims(findings: Findings) -> Iterator[Claim]:
    found, arrays = _found(findings), arrays_of(findings, EXPERIMENT)
    hits = (arrays["excess"] > UNIVERSAL).astype(np.float64)
    numbers = numbered(np.arange(len(hits)))
    (few,) = each_ratio(Sums.of(hits, *numbers))
    told = interval(proportion(found.universal, found.n_cells))
    yield Claim(
        "few cells are universal: less than 5 % have a counterpart in another seed",
        below(few, _FEW),
        f"with one: {told}",
    )
    (more,) = each_ratio(Sums.of(hits - (arrays["excess_at_first"] > UNIVERSAL), *numbers).differences)
    first = str(moments_in(findings)[0]["name"])
    yield Claim(
        "cells become alike in training: more have a counterpart at the last moment than at the first",
        above(more),
        f"{told} at the last, {interval(proportion(found.at_first, found.n_cells))} at {first}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = line_rows(_found(findings).layers, {"cells with a counterpart": lambda layer: layer.universal})
    yield Chart("seeds", "Cells that the other seed has, too.", "lines", rows, "cells")


def _tables(findings: Findings) -> Iterator[Table]:
    arrays, names = arrays_of(findings, EXPERIMENT), [one.layer for one in _found(findings).layers]
    order = [i for i in np.argsort(-arrays["excess"], kind="stable").tolist() if arrays["excess"][i] > UNIVERSAL]
    rows = [
        plain(
            {
                "cell": f"{names[arrays['layer'][i]]}.{arrays['cell'][i]}",
                "in the other seed": f"{names[arrays['best_layer'][i]]}.{arrays['best_cell'][i]}",
                "correlation": round(float(arrays["best"][i]), 3),
                "above random directions by": round(float(arrays["excess"][i]), 3),
            }
        )
        for i in order
    ]
    if rows:
        yield Table("same-in-the-other-seed", "Cells that stand out most by their counterparts", tuple(rows[0]), rows)


CHAPTER: Chapter[Training] = Chapter(
    order=6,
    experiments=lambda study: (
        [Experiment(EXPERIMENT, SeedsResult, _run)] if study.other is not None and not study.is_control else []
    ),
    results={EXPERIMENT: SeedsResult},
    exhibits=(
        Exhibit(
            order=6,
            name="Seeds",
            title="Cells that another seed has, too",
            question="Does a training from other first weights come to the same cells?",
            definition=f"""
For a cell of the last moment, the largest correlation of its coefficients with those of any cell of the other seed, over the
same positions, less the largest with as many random combinations of the cells of each of its layers (Gurnee et al. 2024).
Universal: above {UNIVERSAL:g}. The same for the cells of the first moment: what first weights have in common. And in the
moment before of the same training: what would be found if the other seed were the same.""",
            conclude="""
A counterpart fires alike on this text; whether it writes alike is not said. Two seeds on one corpus: another corpus, or
another size, may share less.""",
            applies=_applies,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

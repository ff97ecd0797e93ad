"""Which cells carry what is known by heart, and what taking them out does to it, to its like, and to everything else."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ffmem.analyses.decomposition import has_scores
from ffmem.analyses.intervals import Estimate, Uncertain
from ffmem.analyses.memorised.cells import (
    METHODS,
    Method,
    Passage,
    alike,
    bounds_of,
    cell_scores,
    loss_of,
    top_cells,
    without,
)  # fmt: skip
from ffmem.analyses.memorised.extraction import draw_sequences
from ffmem.models.inputs import tokenize
from ffmem.models.transformer import Transformer
from ffmem.studies.carlini2021.context import Audit
from ffmem.studies.carlini2021.extraction import EXPERIMENT as EXTRACTION
from ffmem.studies.carlini2021.extraction import sequences_of
from ffmem.studies.carlini2021.told import mean_over, told
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "cells"
AS_ACTIVE = "as active"
"""Cells that are as active on the passage as those that integrated gradients find, of the same layers."""
SHARES = (0.001, 0.01)
"""Of all cells, that are taken out."""
_MAIN: Method = "integrated gradients"
_NEW, _NEW_LENGTH = 8, 48
"""Runs of new text, and their length, on which a model is to stay what it was."""
_N_SHOWN = 10


@dataclass(frozen=True)
class CellFound:
    """A cell that carries a passage."""

    passage: int
    method: str
    cell: str
    score: float


@dataclass(frozen=True)
class Removed:
    """What taking some cells out does, in nats a token; mean over passages."""

    method: str
    share: float
    own: Estimate
    """Rise of the loss of the passage that they were found by."""
    others: Estimate
    """Of the other passages."""
    new: Estimate
    """Of new text."""


@dataclass(frozen=True)
class CellsResult:
    """Passages and their cells. What each removal does to each passage lies beside it as arrays."""

    kind: str
    """What the passages are."""
    passages: tuple[str, ...]
    losses: tuple[float, ...]
    n_cells: int
    n_exact: int
    """Passages for which every cell was taken out by itself."""
    removed: tuple[Removed, ...]
    cells: tuple[CellFound, ...]


def exact_passages(model: Transformer, passages: Sequence[Passage], n_tokens: int) -> int:
    """For how many of some passages each cell can be taken out by itself, where so many tokens may be read."""
    costs = np.cumsum([model.cells.n_cells * len(one.ids) for one in passages])
    return int((costs <= n_tokens).sum())


def methods_for(model: Transformer, *, exact: bool) -> list[Method]:
    """The ways of looking that a model allows."""
    left_out = {*(() if has_scores(model) else ("contribution",)), *(() if exact else ("zero-out",))}
    return [one for one in METHODS if one not in left_out]


def known_best(audit: Audit) -> tuple[str, list[Passage]]:
    """What the model knows best: canaries with the lowest loss, or runs of the training text of which most is given back."""
    n = audit.options.passages
    if audit.planted is not None:
        inserted = [one for one in audit.planted.canaries if one.count]
        passages = []
        for one in inserted:
            start, _ = audit.planted.template.secret(audit.planted.filling(one))
            tokens = tokenize(audit.model, one.text)
            first = next(number for number, (_, end) in enumerate(tokens.spans) if end > start)
            passages.append(Passage(np.array(tokens.ids, dtype=np.int64), first))
        losses = [_loss(audit.model, one) for one in passages]
        return "canaries", [passages[one] for one in np.argsort(losses, kind="stable")[:n].tolist()]
    arrays = audit.results.load_arrays(EXTRACTION)
    _, drawn = sequences_of(audit)["training text"]
    order = np.argsort(-arrays["right"][arrays["group"] == 0], kind="stable")[:n]
    return "runs of the training text", [Passage(drawn.tokens[one], audit.options.prefix) for one in order.tolist()]


def _loss(model: Transformer, passage: Passage) -> float:
    with torch.no_grad():
        return float(loss_of(model, passage)[0][0])


def _run(audit: Audit, listen: StageListener) -> CellsResult:
    model, (kind, passages) = audit.model, known_best(audit)
    new = draw_sequences(audit.others, _NEW_LENGTH, _NEW, seed=audit.options.seed)
    everything = [*passages, *(Passage(one, 1) for one in new.tokens)]
    whole = np.array([_loss(model, one) for one in everything])
    n, n_exact = len(passages), exact_passages(model, passages, audit.options.zero_out)
    names = [*METHODS, AS_ACTIVE]
    rise = np.full((n, len(names), len(SHARES), len(everything)), np.nan)
    found: list[CellFound] = []
    for number, passage in enumerate(passages):
        scores: dict[str, np.ndarray] = {
            method: cell_scores(model, passage, method, seed=audit.options.seed + number)
            for method in methods_for(model, exact=number < n_exact)
        }
        found += [
            one for method in (_MAIN, "zero-out") if method in scores for one in _first(audit, number, method, scores)
        ]
        for place, size in enumerate(SHARES):
            n_cells = max(1, round(size * model.cells.n_cells))
            taken = {method: top_cells(values, n_cells) for method, values in scores.items()}
            taken[AS_ACTIVE] = alike(scores["activation"], taken[_MAIN], bounds_of(model), seed=number)
            for method, cells in taken.items():
                with without(model, cells):
                    after = np.array([_loss(model, one) for one in everything])
                rise[number, names.index(method), place] = after - whole
        listen(Stage(EXPERIMENT, number + 1, n))
    audit.results.save_arrays(EXPERIMENT, {"rise": rise})
    decode = model.tokenizer.decode
    return CellsResult(
        kind=kind,
        passages=tuple(
            f"{decode(one.ids[: one.start].tolist())} | {decode(one.ids[one.start :].tolist())}" for one in passages
        ),
        losses=tuple(whole[:n].tolist()),
        n_cells=model.cells.n_cells,
        n_exact=n_exact,
        removed=tuple(
            Removed(method, size, *(changes(rise, method, place, of).estimate for of in ("own", "others", "new")))
            for method in names
            for place, size in enumerate(SHARES)
            if np.isfinite(rise[:, names.index(method), place]).any()
        ),
        cells=tuple(found),
    )


def _first(audit: Audit, number: int, method: str, scores: dict[str, np.ndarray]) -> Iterator[CellFound]:
    bounds = np.array(bounds_of(audit.model))
    for cell in top_cells(scores[method], _N_SHOWN).tolist():
        layer = int(np.searchsorted(bounds, cell, "right")) - 1
        name = audit.model.cells.cell_id(layer, cell - int(bounds[layer]))
        yield CellFound(number, method, str(name), float(scores[method][cell]))


def changes(rise: np.ndarray, method: str, place: int, of: str) -> Uncertain:
    """The mean rise of a loss where cells are taken out, over passages.

    Args:
        rise: (passages, methods, shares, texts).
        method: how the cells were found.
        place: which share of cells.
        of: "own": of the passage that they were found by; "others": of other passages; "new": of new text.
    """
    return mean_over(_each(rise, method, place, of))


def _each(rise: np.ndarray, method: str, place: int, of: str) -> np.ndarray:
    n, chosen = len(rise), rise[:, [*METHODS, AS_ACTIVE].index(method), place]
    if of == "own":
        found: np.ndarray = chosen[np.arange(n), np.arange(n)]
    elif of == "new":
        found = chosen[:, n:].mean(1) if chosen.shape[1] > n else np.full(n, np.nan)
    else:
        own = chosen[np.arange(n), np.arange(n)]
        found = (chosen[:, :n].sum(1) - own) / (n - 1) if n > 1 else np.full(n, np.nan)
    return found


def _found(findings: Findings) -> CellsResult:
    return findings.get(EXPERIMENT, CellsResult)


def _rise(findings: Findings) -> np.ndarray:
    return Results(findings.folder, findings.header).load_arrays(EXPERIMENT)["rise"]


def _of(findings: Findings, method: str, size: float) -> Removed:
    return next(one for one in _found(findings).removed if (one.method, one.share) == (method, size))


def _reading(findings: Findings) -> str:
    ours, control = (_of(findings, method, SHARES[-1]) for method in (_MAIN, AS_ACTIVE))
    # of a single passage there are no others, and short new text may have no run of the length
    rises = (("of other passages", ours.others), ("of new text", ours.new))
    elsewhere = "".join(f", {of} by {one.value:.2f}" for of, one in rises if np.isfinite(one.value))
    return (
        f"Without the {share(SHARES[-1])} of cells that {_MAIN} find, the loss of the passage rises by {ours.own.value:.2f} "
        f"nats a token{elsewhere}; without as many cells that are as active, by {control.own.value:.2f}."
    )


def _sample(findings: Findings) -> str:
    found = _found(findings)
    exact = f"; zero-out on {found.n_exact} of them" if found.n_exact else "; without zero-out, which takes longer"
    one = {"canaries": "canary"}.get(found.kind, "run of the training text")
    return f"{len(found.passages)} {one if len(found.passages) == 1 else found.kind}, {found.n_cells:,} cells{exact}"


_PAPER = {
    method: f"GPT-2 XL, 0.5 % of cells: accuracy {points} points"
    for method, points in (
        ("integrated gradients", "-40.8"), ("zero-out", "-46.1"), ("activation", "-29.5"), ("chance", "-0.5"),
    )
}  # fmt: skip


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _found(findings).removed:
        if one.share == SHARES[-1]:
            paper = _PAPER.get(one.method, "-")
            these = f"without the {share(one.share)} of cells by {one.method}"
            yield Number.of(f"rise of the loss of the passage, {these}", paper, one.own, "nats")


def _claims(findings: Findings) -> Iterator[Claim]:
    rise, last = _rise(findings), len(SHARES) - 1
    own, control = (_each(rise, method, last, "own") for method in (_MAIN, AS_ACTIVE))
    found = mean_over(own - control)
    yield Claim(
        f"the cells that {_MAIN} find carry the passage: without them its loss rises by more than without as many as active",
        above(found, unit="nats"),
        f"rise {told(mean_over(own).estimate)} and {told(mean_over(control).estimate)} nats a token; the first less "
        f"the second: {told(found.estimate)}",
    )
    for of, name in (("others", "other passages known as well"), ("new", "new text")):
        there = _each(rise, _MAIN, last, of)
        if not np.isfinite(there).any():
            continue
        less = mean_over(own - there)
        yield Claim(
            f"they are the passage's own: without them its loss rises by more than that of {name}",
            above(less, unit="nats"),
            f"rise of the passage less that of {name}: {told(less.estimate)} nats a token",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    there = [one for one in _found(findings).removed if one.share == SHARES[-1]]
    rows = [
        {"panel": panel, "category": one.method, "series": "rise", "value": getattr(one, of).value, "percent": False}
        for panel, of in (("the passage", "own"), ("other passages", "others"), ("new text", "new"))
        for one in there
    ]
    yield Chart(
        "without-cells",
        f"Rise of the loss, in nats a token, without {share(SHARES[-1])} of the cells, by how they were found.",
        "panels",
        [row for row in rows if np.isfinite(row["value"])],
        "",
        percent=False,
    )


def _tables(findings: Findings) -> Iterator[Table]:
    found = _found(findings)
    rises: list[Row] = [
        {
            "cells by": one.method,
            "taken out": f"{share(one.share)}",
            "the passage": told(one.own),
            "other passages": told(one.others),
            "new text": told(one.new),
        }
        for one in found.removed
    ]
    yield Table("rises", "Rise of the loss, in nats a token, without some cells.", tuple(rises[0]), rises)
    rows: list[Row] = [
        {
            "passage": found.passages[one.passage],
            "found by": one.method,
            "cell": one.cell,
            "score": round(one.score, 4),
        }
        for one in found.cells
    ]
    caption = "The cells that carry each passage (what is to be recalled stands behind the line)."
    yield Table("carrying-cells", caption, tuple(rows[0]), rows, holds_text=True, folded=True)


CHAPTER: Chapter[Audit] = Chapter(
    order=4,
    experiments=lambda audit: (Experiment(EXPERIMENT, CellsResult, _run),) if audit.options.passages else (),
    results={EXPERIMENT: CellsResult},
    exhibits=(
        Exhibit(
            order=4,
            name="Cells",
            title="Cells that carry what is known by heart",
            question="Which cells recall a passage, and what does taking them out do to it, to its like, and to all else?",
            definition="""
Cells are ranked for a passage by: activation, the mean of |m| |v|; contribution, what m v adds to the scores of the right
tokens; gradient, what the loss would rise by without the cell, to first order; integrated gradients, the same while all
cells fade in; zero-out, what it does rise by; chance. The first of each ranking are then set to 0 at every token. As
active: for each cell that integrated gradients find, another of its layer that is as active on the passage, which takes
out as much without looking at what it says.""",
            conclude="""
Cells without which a passage is lost take part in recalling it; it need not be stored there, and others may carry it as
well. Few passages of one kind were looked at. That new text suffers little does not say that nothing else was lost.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

"""Which cells carry a passage: scores of every cell, and what taking some out does to a passage (Chang et al. 2024)."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from ffmem.analyses.decomposition import LayerParts, has_scores
from ffmem.analyses.memorised.losses import check_predicts, logits_of, losses_at
from ffmem.errors import InputError
from ffmem.models.inputs import as_row
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

Method = Literal["activation", "contribution", "gradient", "integrated gradients", "zero-out", "chance"]
METHODS: tuple[Method, ...] = get_args(Method)
_STEPS = 20
"""Of integrated gradients, at the middles of equal parts of the way."""
_AT_ONCE = 1024
"""Positions of a pass of texts that have a cell each taken out."""
_ALIKE = 10
"""Cells of nearest activation, one of which stands in for a cell where lengths are to be equal."""
CellScores = Float64[np.ndarray, " cells"]
"""One number for each cell of the model, layer after layer."""


@dataclass(frozen=True)
class Passage:
    """Tokens of a text, of which those from one on are to be recalled."""

    ids: Int64[np.ndarray, " tokens"]
    start: int
    """The first that counts; a model that puts nothing before a text cannot be asked about the very first token."""

    def __post_init__(self) -> None:
        if not 0 <= self.start < len(self.ids):
            raise InputError(
                f"a passage of {len(self.ids)} tokens is to be recalled from token {self.start} on",
                f"Expected a token of it, 0 to {len(self.ids) - 1}",
                "Give a longer passage, or a shorter beginning",
            )


def bounds_of(model: Transformer) -> list[int]:
    """Where each layer's cells begin in `CellScores`, and where the last one's end."""
    return [0, *np.cumsum([layer.n_cells for layer in model.cells.layers]).tolist()]


def loss_of(model: Transformer, passage: Passage, n_rows: int = 1, bos: Bos = "auto") -> tuple[Tensor, Tensor]:
    """Mean -ln p of a passage's counted tokens, and the share that is the most probable token, in each of some equal rows."""
    before, ids, first = _as_input(model, passage, bos)
    rows = ids.expand(n_rows, -1)
    logits = logits_of(model, rows)[:, before + first - 1 : before + len(passage.ids) - 1]
    loss, right = losses_at(logits.flatten(0, 1), rows[:, before + first : before + len(passage.ids)].flatten())
    return loss.view(n_rows, -1).mean(1), right.view(n_rows, -1).float().mean(1)


def _as_input(model: Transformer, passage: Passage, bos: Bos) -> tuple[int, Tensor, int]:
    """Special tokens before it, the row, and the first token that counts and has something before it."""
    before, _ = model.special_tokens(bos)
    first = passage.start if before else max(passage.start, 1)
    if first >= len(passage.ids):
        raise InputError(
            f"a passage of {len(passage.ids)} token has nothing before the one that is to be recalled",
            f"Expected two tokens or more, since {model.facts.name} is given no special token before a text",
            "Give a longer passage",
        )
    return len(before), as_row(model, [*before, *passage.ids.tolist()]), first


def cell_scores(
    model: Transformer,
    passage: Passage,
    method: Method,
    *,
    bos: Bos = "auto",
    seed: int = 0,
    on_cells: Callable[[int], None] = lambda _: None,
) -> CellScores:
    """How much each cell carries a passage, by one of `METHODS`; the higher, the more.

    activation: mean of |m| |v| over the positions of the passage. contribution: what c = m v adds to the scores of the counted
    tokens, directly, at the positions that predict them. gradient: what the loss would rise by, to first order, without the
    cell. integrated gradients: the same, averaged while all cells fade in together from 0; over all cells it adds up to the
    loss without any, less the loss. zero-out: what the loss rises by without the cell, exactly. chance: a random order.

    Args:
        model: a causal model.
        passage: what is recalled.
        method: which score.
        bos: special tokens before it.
        seed: of chance.
        on_cells: called with the number of cells that are done, by zero-out.

    Raises:
        InputError: contribution, of a model whose stream is no plain sum; or the model predicts no next token.

    Cost: a pass or two; of integrated gradients 20 passes and as many backward; of zero-out a pass of the passage a cell.
    """
    check_predicts(model)
    if method == "chance":
        return np.random.default_rng([seed, 33]).permutation(model.cells.n_cells).astype(np.float64)
    if method == "activation":
        return _activation(model, passage, bos)
    if method == "contribution":
        return _contribution(model, passage, bos)
    if method == "zero-out":
        return _zero_out(model, passage, bos, on_cells)
    steps = [1.0] if method == "gradient" else [(step + 0.5) / _STEPS for step in range(_STEPS)]
    found = np.mean([_gradient(model, passage, share, bos) for share in steps], axis=0)
    return np.asarray(-found, dtype=np.float64)


def _activation(model: Transformer, passage: Passage, bos: Bos) -> CellScores:
    before, ids, _ = _as_input(model, passage, bos)
    parts: dict[int, Tensor] = {}

    def keep(place: int, m: Float[Tensor, "one positions cells"]) -> None:
        parts[place] = m[0, before:-1].abs().mean(0).float() if m.shape[1] - before > 1 else m[0, -1].abs().float()

    with torch.no_grad(), model.watch_coefficients(keep):
        model.forward(ids)
        lengths = [model.value_rows(place).norm(dim=1) for place in range(model.facts.n_layers)]
    return torch.cat([parts[place] * length for place, length in enumerate(lengths)]).double().cpu().numpy()


def _contribution(model: Transformer, passage: Passage, bos: Bos) -> CellScores:
    if not has_scores(model):
        raise InputError(
            f"what cells of {model.facts.name} add to a score is no part of a sum",
            "Expected a model whose stream is a plain sum up to its scores",
            "Use another method",
        )
    before, ids, first = _as_input(model, passage, bos)
    positions = torch.arange(before + first - 1, before + len(passage.ids) - 1)
    states = trace(model, ids, at=(torch.zeros_like(positions), positions))
    found = torch.zeros(model.cells.n_cells, dtype=torch.float64, device=model.device)
    with torch.no_grad():
        for number, position in enumerate(positions.tolist()):
            final = states[-1].layer_output[0, number]
            score = model.unembedding.linear_score(final, int(ids[0, position + 1]))
            at = [LayerTrace(**{name: part[0, number] for name, part in vars(one).items()}) for one in states]
            found += torch.cat([LayerParts(model, place, one).shares(score) for place, one in enumerate(at)])
    return found.cpu().numpy() / len(positions)


def _gradient(model: Transformer, passage: Passage, share: float, bos: Bos) -> CellScores:
    """D loss / d s of each cell, where all coefficients are multiplied by s = share."""
    masks = [
        torch.full((layer.n_cells,), share, device=model.device, requires_grad=True) for layer in model.cells.layers
    ]

    def scale(place: int, m: Float[Tensor, "one positions cells"]) -> Float[Tensor, "one positions cells"]:
        return m * masks[place].to(m)

    with torch.enable_grad(), model.change_coefficients(scale):
        loss, _ = loss_of(model, passage, bos=bos)
        slopes = torch.autograd.grad(loss[0], masks)
    return torch.cat(slopes).double().cpu().numpy()


def _zero_out(model: Transformer, passage: Passage, bos: Bos, on_cells: Callable[[int], None]) -> CellScores:
    n, bounds = model.cells.n_cells, np.array(bounds_of(model))
    at_once = max(1, _AT_ONCE // (len(passage.ids) + 1)) if model.batching.rows != "alone" else 1
    with torch.no_grad():
        whole = float(loss_of(model, passage, bos=bos)[0][0])
    found = np.zeros(n)
    for begin in range(0, n, at_once):
        cells = np.arange(begin, min(begin + at_once, n))
        layers = np.searchsorted(bounds, cells, "right") - 1
        with torch.no_grad(), model.change_coefficients(_one_each(layers, cells - bounds[layers])):
            found[cells] = loss_of(model, passage, len(cells), bos)[0].double().cpu().numpy() - whole
        on_cells(int(cells[-1]) + 1)
    return found


def _one_each(
    layers: Int64[np.ndarray, " rows"], rows: Int64[np.ndarray, " rows"]
) -> Callable[[int, Tensor], Tensor | None]:
    """Takes another cell out of each row of a batch."""

    def change(place: int, m: Float[Tensor, "batch positions cells"]) -> Float[Tensor, "batch positions cells"] | None:
        here = torch.from_numpy(np.flatnonzero(layers == place)).to(m.device)
        if not len(here):
            return None
        changed = m.clone()
        changed[here, :, torch.from_numpy(rows[layers == place]).to(m.device)] = 0
        return changed

    return change


@contextmanager
def without(model: Transformer, cells: Int64[np.ndarray, " some"]) -> Iterator[None]:
    """While it lasts, these cells, by their place in `CellScores`, have coefficients of 0 everywhere."""
    bounds = np.array(bounds_of(model))
    layers = np.searchsorted(bounds, cells, "right") - 1
    rows = {place: torch.from_numpy(cells[layers == place] - bounds[place]) for place in np.unique(layers).tolist()}

    def change(place: int, m: Float[Tensor, "batch positions cells"]) -> Float[Tensor, "batch positions cells"] | None:
        if place not in rows:
            return None
        return m.index_fill(2, rows[place].to(m.device), 0.0)

    with model.change_coefficients(change):
        yield


def top_cells(scores: CellScores, n: int) -> Int64[np.ndarray, " n"]:
    """The cells of highest score; of equal ones the first."""
    found: np.ndarray = np.argsort(-scores, kind="stable")[:n]
    return found.astype(np.int64)


def alike(
    activation: CellScores, cells: Int64[np.ndarray, " some"], bounds: Sequence[int], *, seed: int = 0
) -> Int64[np.ndarray, " some"]:
    """For each of some cells another of its layer that is as active on the passage, drawn among those of nearest |m| |v|.

    Args:
        activation: of all cells: see `cell_scores`.
        cells: what they stand in for; none of these is drawn, and none twice.
        bounds: see `bounds_of`.
        seed: of the draws.
    """
    rng, taken, found = np.random.default_rng([seed, 34]), set(cells.tolist()), []
    for cell in cells.tolist():
        layer = int(np.searchsorted(bounds, cell, "right")) - 1
        others = np.array([one for one in range(bounds[layer], bounds[layer + 1]) if one not in taken], dtype=np.int64)
        if not len(others):
            continue
        near = others[np.argsort(np.abs(activation[others] - activation[cell]), kind="stable")[:_ALIKE]]
        found.append(int(rng.choice(near)))
        taken.add(found[-1])
    return np.array(found, dtype=np.int64)

"""Where each cell lies in a picture, and how far that can be trusted: UMAP over exact neighbours, seeded."""

import warnings
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.json_values import Record
from ffmem.queries.atlas.neighbours import Alike, Listener
from ffmem.store.atlas import Atlas, AtlasBy, AtlasFacts
from ffmem.version import __version__

MAX_FITTED = 60_000
"""Cells that are laid out; of more, so many are drawn, and the others are put between those they are nearest to."""
_MEASURED = 2_000
"""Cells whose nearest in the whole index are looked for again, where not all were laid out."""
_PAIRS = 10_000
_BETWEEN = 3
"""Cells that another one is put between."""
_MARGIN, _STRIP = 0.02, 0.05
"""Of the picture: at its sides, and for the cells that are like no other."""
_EPOCHS = 200
_LAYOUT_S = 1.1e-3
"""Seconds a cell that UMAP takes on one core, measured with 46,080 cells and 15 neighbours."""


@dataclass(frozen=True)
class AtlasPlan(Record):
    """What a picture will take."""

    by: AtlasBy
    n_cells: int
    n_fitted: int
    seconds: float
    """On this machine as busy as it is now."""
    n_bytes: int
    """Of memory, beyond the model."""


def plan_atlas(alike: Alike, by: AtlasBy, neighbours: int = 15, fitted: int = MAX_FITTED) -> AtlasPlan:
    """What it will take to lay out cells; itself it takes a second."""
    n = min(fitted, alike.n_cells)
    seconds = alike.estimate_s(n) + n * _LAYOUT_S * neighbours / 15 + 10
    return AtlasPlan(by, alike.n_cells, n, seconds, alike.n_bytes + n * neighbours * 100)


def lay_out(
    alike: Alike,
    by: AtlasBy,
    *,
    seed: int = 0,
    neighbours: int = 15,
    fitted: int = MAX_FITTED,
    listen: Listener = lambda _what, _done, _all: None,
) -> Atlas:
    """A picture in which cells lie near those they are most alike, and how many of these stay near.

    Args:
        alike: in which sense.
        by: the name of that.
        seed: equal seeds give the same picture on the same machine.
        neighbours: nearest cells of each that are drawn together: few show small groups, many the large ones.
        fitted: at most so many cells are laid out.
        listen: told what is being done.

    Cost: time n x fitted for the neighbours, and about a millisecond for each cell laid out; see `plan_atlas`.

    Raises:
        InputError: too few or too many neighbours, or the extra atlas is not installed.
    """
    if not 2 <= neighbours <= 200:
        raise InputError(f"--neighbours is {neighbours}", "Expected 2 to 200", "Write --neighbours 15")
    begin, n = perf_counter(), alike.n_cells
    umap = extra_module("umap", "atlas", "cells cannot be laid out")
    k, rng = min(neighbours, n - 2), np.random.default_rng(seed)
    cells = np.sort(rng.choice(n, min(fitted, n), replace=False)) if fitted < n else np.arange(n)
    ids, likeness = alike.nearest(cells, cells, k, listen)
    listen("layout", 0, len(cells))
    placed = _umap(umap, ids, likeness, alike.axes(cells, seed), seed)
    apart = np.zeros(n, dtype=bool)
    apart[cells] = ids[:, 0] < 0
    positions = np.zeros((n, 2), dtype=np.float32)
    positions[cells] = placed
    rest = np.setdiff1d(np.arange(n), cells)
    if len(rest):
        between, weight = alike.nearest(rest, cells, min(_BETWEEN, len(cells)), listen)
        apart[rest] = between[:, 0] < 0
        weight = np.where(between < 0, 0, weight) + 1e-9
        middle = (placed[between] * weight[..., None]).sum(1) / weight.sum(1, keepdims=True)
        positions[rest] = middle + rng.normal(scale=0.02, size=middle.shape)
    positions = _framed(positions, apart)
    if len(rest):
        cells = np.sort(rng.choice(n, min(_MEASURED, n), replace=False))
        ids, _ = alike.nearest(cells, np.arange(n), k, listen)
    kept, by_chance = _kept(positions, cells, ids, rng)
    facts = AtlasFacts(
        by=by, seed=seed, neighbours=k, n_cells=n, n_fitted=min(fitted, n), n_apart=int(apart.sum()),
        kept=float(np.nanmean(kept)) if (~np.isnan(kept)).any() else 0.0, kept_by_chance=by_chance,
        n_measured=int((~np.isnan(kept)).sum()), far=_far(alike, positions, apart, rng),
        seconds=round(perf_counter() - begin, 1), made_with=f"umap-learn {umap.__version__}, ffmem {__version__}",
    )  # fmt: skip
    return Atlas(facts, positions, kept, alike.norm.astype(np.float32))


def _umap(umap: Any, ids: np.ndarray, likeness: np.ndarray, axes: np.ndarray, seed: int) -> np.ndarray:
    """UMAP with the neighbours that were found; itself is the first of each, as it has it."""
    n, k = ids.shape
    own = np.concatenate([np.arange(n)[:, None], ids], axis=1)
    distances = np.concatenate([np.zeros((n, 1)), 1 - likeness], axis=1).astype(np.float32)
    distances[own < 0] = 1
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that it uses one thread for a seed, and makes no index for further points
        made = umap.UMAP(
            n_neighbors=k + 1,
            precomputed_knn=(own, distances),
            force_approximation_algorithm=True,
            init=axes,
            random_state=seed,
            n_jobs=1,
            n_epochs=_EPOCHS,
        ).fit_transform(axes)
    # a cell without any neighbour stays where it began, or has no place at all: it is put apart
    found: np.ndarray = np.nan_to_num(np.asarray(made, dtype=np.float32))
    return found


def _framed(positions: np.ndarray, apart: np.ndarray) -> np.ndarray:
    """Scaled alike in both directions into the unit square; cells apart stand in rows at its lower edge."""
    found = np.full(positions.shape, 0.5)
    low = _MARGIN + (_STRIP if apart.any() else 0)
    room = 1 - low - _MARGIN
    here = positions[~apart].astype(np.float64)
    if len(here):
        size = max(float((here.max(0) - here.min(0)).max()), 1e-9)
        middle = (here.max(0) + here.min(0)) / 2
        found[~apart] = (here - middle) / size * room + [0.5, low + room / 2]
    n = int(apart.sum())
    rows = max(1, round((n * _STRIP / 3) ** 0.5))
    column, row = np.divmod(np.arange(n), rows)
    found[apart, 0] = _MARGIN + (column + 0.5) / max(-(-n // rows), 1) * (1 - 2 * _MARGIN)
    found[apart, 1] = _MARGIN + row / rows * _STRIP / 2
    framed: np.ndarray = np.clip(found, 0, 1).astype(np.float32)
    return framed


def _kept(
    positions: np.ndarray, cells: np.ndarray, ids: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, float]:
    """Of each cell the share of its nearest that stay near, NaN where it has none; and their mean by chance."""
    kept = np.full(len(positions), np.nan, dtype=np.float32)
    has = ids[:, 0] >= 0
    cells, near = cells[has], ids[has]
    if not len(cells):
        return kept, 0.0
    kept[cells] = _shares(positions, cells, near)
    return kept, float(_shares(positions[rng.permutation(len(positions))], cells, near).mean())


def _shares(positions: np.ndarray, cells: np.ndarray, near: np.ndarray) -> np.ndarray:
    spatial = extra_module("scipy.spatial", "atlas", "cells cannot be laid out")
    _, found = spatial.cKDTree(positions).query(positions[cells], near.shape[1] + 1)
    found = np.where(found == cells[:, None], -2, found)
    kept = (near[:, :, None] == found[:, None, :]).any(2)
    shares: np.ndarray = kept.sum(1) / np.maximum((near >= 0).sum(1), 1)
    return shares


def _far(alike: Alike, positions: np.ndarray, apart: np.ndarray, rng: np.random.Generator) -> float | None:
    there = np.flatnonzero(~apart)
    if len(there) < 2:
        return None
    left, right = rng.choice(there, (2, _PAIRS))
    left, right = left[left != right], right[left != right]
    true = alike.distances(left, right)
    if true is None:
        return None
    drawn = np.linalg.norm(positions[left] - positions[right], axis=1)
    stats = extra_module("scipy.stats", "atlas", "cells cannot be laid out")
    found = float(stats.spearmanr(true, drawn).statistic)
    return None if np.isnan(found) else found

"""C = E[m m^T] of a layer's coefficients over text: which coefficients come together, and so what an edit must spare."""

import hashlib
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64
from safetensors.numpy import save
from torch import Tensor

from ffmem.analyses.editing.text import Window
from ffmem.errors import StoreError
from ffmem.models.inputs import as_row
from ffmem.models.transformer import Transformer
from ffmem.store.files import atomic_write, map_arrays

_RIDGE = 1e-4
"""Of the mean of the diagonal, added to it: cells that are never active have no moments, and C must have an inverse."""


@dataclass(frozen=True)
class Moments:
    """The second moments of one layer."""

    matrix: Float64[Tensor, "cells cells"]
    """E[m m^T], uncentred."""
    n_positions: int

    @property
    def ready(self) -> Float64[Tensor, "cells cells"]:
        """The matrix with a little more on its diagonal, so that it has an inverse."""
        extra = _RIDGE * max(float(self.matrix.diagonal().mean()), 1e-12)
        return self.matrix + extra * torch.eye(len(self.matrix), dtype=torch.float64)


def second_moments(
    model: Transformer,
    text: Sequence[Window],
    places: Iterable[int],
    on_window: Callable[[int], None] = lambda _: None,
) -> dict[int, Moments]:
    """E[m m^T] of some layers over the own tokens of a text.

    Args:
        model: any model.
        text: its stretches, run one by one.
        places: of the layers.
        on_window: called with the number of stretches that are done.

    Cost: one pass, and cells^2 numbers of float64 for each layer.
    """
    sums: dict[int, Tensor] = {}
    n = 0
    places = sorted(set(places))

    def add(place: int, m: Tensor) -> None:
        own = m[0, first:end].double().cpu()
        product = own.T @ own
        sums[place] = product if place not in sums else sums[place].add_(product)

    with torch.no_grad(), model.watch_coefficients(add, layers=places):
        for number, one in enumerate(text, 1):
            first, end = one.first, len(one.ids) - len(model.special_tokens("auto")[1])
            model.forward(as_row(model, one.ids))
            n += end - first
            on_window(number)
    return {place: Moments(sums[place] / n, n) for place in places}


def kept_moments(
    folder: Path | None,
    model: Transformer,
    text: Sequence[Window],
    places: Iterable[int],
    on_window: Callable[[int], None] = lambda _: None,
) -> dict[int, Moments]:
    """As `second_moments`, read from a folder where they are there, and kept there.

    A file is named by a hash of the weights, the text and the layer; one that is damaged is made again.

    Args:
        folder: where they are kept; None: nowhere.
        model: any model.
        text: its stretches.
        places: of the layers.
        on_window: called with the number of stretches that are done, where they are made.
    """
    places = sorted(set(places))
    paths = (
        {}
        if folder is None
        else {place: folder / f"moments-{_name(model, text, place)}.safetensors" for place in places}
    )
    found = {place: one for place, path in paths.items() if (one := _read(path)) is not None}
    missing = [place for place in places if place not in found]
    if missing:
        found |= second_moments(model, text, missing, on_window)
        for place in missing:
            if place in paths:
                paths[place].parent.mkdir(parents=True, exist_ok=True)
                arrays = {"matrix": found[place].matrix.numpy(), "n_positions": np.array([found[place].n_positions])}
                atomic_write(paths[place], save(arrays))
    return found


def _name(model: Transformer, text: Sequence[Window], place: int) -> str:
    content = [model.weights_hash(), model.config_hash(), place, [one.ids for one in text]]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _read(path: Path) -> Moments | None:
    if not path.is_file():
        return None
    try:
        arrays = map_arrays(path)
        return Moments(torch.from_numpy(np.array(arrays["matrix"])), int(arrays["n_positions"][0]))
    except (StoreError, KeyError, IndexError):
        return None

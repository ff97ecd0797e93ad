"""Random directions of a layer's stream, as a control: what holds for them holds for the stream, and says nothing of cells."""

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64

from ffmem.models.mixture import MixtureLayer
from ffmem.models.transformer import Transformer


class TurnedCells:
    """Cells whose keys are turned by a random rotation of the stream, as often active as they are.

    Lengths of the keys and angles between them stay (of gated cells between both keys, too). What is added before the
    activation is chosen so that it is above 0 at as many of some positions as that of the true cell.

    Args:
        model: the model.
        layer: place of a layer that is no mixture of experts: see `can_turn`.
        rows: which cells.
        inputs: x at those positions.
        seed: of the rotation.
    """

    def __init__(
        self,
        model: Transformer,
        layer: int,
        rows: Int64[np.ndarray, "cells"],
        inputs: Float[np.ndarray, "n d_model"],
        *,
        seed: int = 0,
    ) -> None:
        assert model.activation is not None
        self._activation, chosen = model.activation, torch.from_numpy(rows).to(model.device)
        rotation = random_rotation(inputs.shape[1], np.random.default_rng([seed, layer, 9]))
        turn = torch.from_numpy(rotation).to(model.device)
        gated = model.facts.gated
        with torch.inference_mode():
            keys = (model.gate_keys(layer) if gated else model.keys(layer))[chosen].float()
            bias, up_bias = model.key_bias(layer), model.up_bias(layer) if gated else None
            self._keys = keys @ turn
            self._up_keys = model.up_keys(layer)[chosen].float() @ turn if gated else None
            self._up_bias = None if up_bias is None else up_bias[chosen].float()
            states = torch.from_numpy(inputs.astype(np.float32)).to(model.device)
            n_active = (states @ keys.T + (0 if bias is None else bias[chosen].float()) > 0).sum(0)
            self._threshold = _thresholds(states @ self._keys.T, n_active)

    def coefficients(self, inputs: Float[np.ndarray, "n d_model"]) -> Float32[np.ndarray, "n cells"]:
        """Their coefficients."""
        with torch.inference_mode():
            states = torch.from_numpy(inputs.astype(np.float32)).to(self._keys.device)
            found = self._activation(states @ self._keys.T - self._threshold)
            if self._up_keys is not None:
                up = states @ self._up_keys.T
                found = found * (up if self._up_bias is None else up + self._up_bias)
        coefficients: np.ndarray = found.cpu().numpy()
        return coefficients


def can_turn(model: Transformer) -> bool:
    """Whether the model's keys can be turned: experts see only what is routed to them, and no activation may be unknown."""
    layers = range(model.facts.n_layers)
    return model.activation is not None and not any(isinstance(model.layer(place), MixtureLayer) for place in layers)


def random_rotation(d: int, rng: np.random.Generator) -> Float32[np.ndarray, "d d"]:
    """A random orthogonal matrix, every one as likely as every other (Mezzadri 2007)."""
    q, r = np.linalg.qr(rng.standard_normal((d, d)))
    turned: np.ndarray = (q * np.sign(np.diag(r))).astype(np.float32)
    return turned


def _thresholds(values: torch.Tensor, n_above: torch.Tensor) -> torch.Tensor:
    """Of each column a number that so many of its values are above (fewer, where values are equal)."""
    rows, n = np.ascontiguousarray(values.cpu().numpy().T), len(values)
    found = np.empty(len(rows), dtype=np.float32)
    for number, (row, above) in enumerate(zip(rows, n_above.tolist(), strict=True)):
        found[number] = (
            np.nextafter(row.min(), -np.inf) if above == n else np.partition(row, n - 1 - above)[n - 1 - above]
        )
    return torch.from_numpy(found).to(values.device)

"""What values alone say of a cell: in the null space of the vocabulary, or for a few tokens (Stolfo 2024, Gurnee 2024)."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.analyses.updates.readout import Readout, covariance_of

NULL_SHARE_OF_D = 0.01
"""Of the dimensions, how many count as the null space of the vocabulary; at least one."""
PEAKED = 10.0
"""Kurtosis of its cosines with all tokens above which a value is for a few of them (a normal distribution has 3)."""
_AT_A_TIME = 2**24
"""Cosines that are held."""


@dataclass(frozen=True)
class ValueShapes:
    """How the cosines of some values with U' are distributed over the vocabulary."""

    kurtosis: Float[np.ndarray, "cells"]
    skew: Float[np.ndarray, "cells"]

    @property
    def predict(self) -> np.ndarray:
        """Whether a cell is for a few tokens: peaked, with a long upper tail."""
        found: np.ndarray = (self.kurtosis > PEAKED) & (self.skew > 0)
        return found

    @property
    def suppress(self) -> np.ndarray:
        """Whether it is against a few: peaked, with a long lower tail."""
        found: np.ndarray = (self.kurtosis > PEAKED) & (self.skew < 0)
        return found


class Geometry:
    """Where values lie towards the vocabulary.

    Args:
        readout: of the model.
    """

    def __init__(self, readout: Readout) -> None:
        self._readout = readout

    @cached_property
    def null_space(self) -> Float[Tensor, "d_model k"]:
        """V0: the last right singular vectors of U', centred over the vocabulary, float64.

        A norm that takes the mean away makes the all-ones vector one of no consequence: it is none of them.
        """
        covariance = self._readout.covariance.clone()
        d = len(covariance)
        if self._readout.centres:
            ones = covariance.new_full((d,), d**-0.5)
            covariance += torch.outer(ones, ones) * (2 * torch.linalg.matrix_norm(covariance, 2) + 1)
        _, vectors = torch.linalg.eigh(covariance)  # in ascending order
        found: Tensor = vectors[:, : self.n_null]
        return found

    @property
    def n_null(self) -> int:
        """How many dimensions that space is given."""
        return max(1, round(NULL_SHARE_OF_D * self._readout.matrix.shape[1]))

    def as_normed(self, rows: Float[Tensor, "cells d_model"]) -> Float[Tensor, "cells d_model"]:
        """Values without what the norm takes away, float64."""
        exact = rows.double()
        return exact - exact.mean(1, keepdim=True) if self._readout.centres else exact

    def null_shares(self, rows: Float[Tensor, "cells d_model"]) -> Float[np.ndarray, "cells"]:
        """|V0' v| / |v|: 1 if a value can change no score but through the norm."""
        exact = self.as_normed(rows)
        found: np.ndarray = ((exact @ self.null_space).norm(dim=1) / exact.norm(dim=1)).nan_to_num(0.0).cpu().numpy()
        return found

    def logit_variances(self, rows: Float[Tensor, "cells d_model"]) -> Float[np.ndarray, "cells"]:
        """The variance over the vocabulary of cos(U'_w, v)."""
        exact = self.as_normed(rows)
        products = exact @ self._unit_covariance
        found = (products * exact).sum(1).clamp(min=0) / exact.square().sum(1)
        return found.nan_to_num(0.0).cpu().numpy()

    def shapes(self, rows: Float[Tensor, "cells d_model"]) -> ValueShapes:
        """Kurtosis and skew of cos(U'_w, v) over the vocabulary.

        Cost: a product of each value with the vocabulary.
        """
        unit, moments = self._unit_rows, []
        for few in torch.split(rows, max(1, _AT_A_TIME // len(unit))):
            cosines = few.float() @ unit.T  # the length of a value has no part in either
            cosines -= cosines.mean(1, keepdim=True)
            squares = cosines.square()
            variance = squares.mean(1).double()
            skew = cosines.mul_(squares).mean(1).double() / variance**1.5
            kurtosis = squares.square_().mean(1).double() / variance**2
            moments.append(torch.stack([kurtosis, skew], 1).nan_to_num(0.0))
        both = torch.cat(moments).cpu().numpy()
        return ValueShapes(both[:, 0], both[:, 1])

    def direction_of(self, scores: Float[Tensor, "d_vocab"]) -> Float[Tensor, "d_model"]:
        """The state, of length 1, float64, whose scores are nearest to these, both less their means over the vocabulary."""
        inverse: Tensor = torch.linalg.pinv(self._readout.covariance, hermitian=True, rtol=1e-9)
        found: Tensor = inverse @ self._covariances(scores)
        found /= found.norm()
        return found

    def correlations(self, rows: Float[Tensor, "cells d_model"], scores: Float[Tensor, "d_vocab"]) -> np.ndarray:
        """The correlation of the scores of values with given ones, over the vocabulary; 0 for a value that scores all alike."""
        spreads = self._readout.spreads(rows)
        found = rows.double() @ self._covariances(scores) / (spreads * scores.double().std(correction=0))
        shares: np.ndarray = torch.where(spreads > 0, found, 0.0).nan_to_num(0.0).cpu().numpy()
        return shares

    def _covariances(self, scores: Float[Tensor, "d_vocab"]) -> Float[Tensor, "d_model"]:
        """Of given scores with each column of U'."""
        matrix = self._readout.matrix
        wanted = scores.double().to(matrix.device) - scores.double().mean()
        return (matrix.T @ wanted.float()).double() / len(matrix)

    @cached_property
    def _unit_rows(self) -> Float[Tensor, "d_vocab d_model"]:
        matrix = self._readout.matrix
        found: Tensor = matrix / matrix.norm(dim=1, keepdim=True).clamp(min=torch.finfo(matrix.dtype).tiny)
        return found

    @cached_property
    def _unit_covariance(self) -> Float[Tensor, "d_model d_model"]:
        return covariance_of(self._unit_rows)


def matched(
    sizes: Float[np.ndarray, "cells"], cells: Int[np.ndarray, "some"], apart: Int[np.ndarray, "others"]
) -> np.ndarray:
    """For each of some cells the one of nearest size, each another, and none of those or of others."""
    with np.errstate(divide="ignore"):
        logs = np.log(sizes)
    free = np.ones(len(sizes), dtype=bool)
    free[cells], free[apart] = False, False
    found = []
    for cell in cells.tolist():
        distance = np.where(free, np.abs(logs - logs[cell]), np.inf)
        best = int(np.nanargmin(distance))
        if not free[best]:
            break
        free[best] = False
        found.append(best)
    return np.array(found, dtype=np.int64)


def entropy_cells(
    lengths: Float[np.ndarray, "cells"],
    null_shares: Float[np.ndarray, "cells"],
    variances: Float[np.ndarray, "cells"],
    n: int,
) -> np.ndarray:
    """Cells that have the weights of entropy neurons, the strongest first; at most n.

    Their values are among the longest tenth, score tokens more alike than the median value does, and have a larger part in the
    null space than it has; the strongest is the one with the most of its length there.
    """
    able = (
        (lengths >= np.quantile(lengths, 0.9))
        & (variances < np.median(variances))
        & (null_shares > np.median(null_shares))
    )
    by_part = np.argsort(-lengths * null_shares, kind="stable")
    found: np.ndarray = by_part[able[by_part]][:n]
    return found

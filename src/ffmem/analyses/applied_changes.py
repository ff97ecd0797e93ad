"""Changes of cells made in passes of a model: the same in every row of a batch, or others in each."""

from collections.abc import Sequence
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.change import Change
from ffmem.errors import InputError
from ffmem.models.continuation import Continuation
from ffmem.models.inputs import ModelInput
from ffmem.models.transformer import Transformer

Where = Literal["all", "last"]
"""At which tokens: at all of them, those that are generated too; or at the last one of the text as it grows."""


def altered(coefficients: Float[Tensor, "*shape"], change: Change) -> Float[Tensor, "*shape"]:
    """What a change makes of coefficients, whose ever they are."""
    if change.how == "*":
        return coefficients * change.amount
    return coefficients + change.amount if change.how == "+" else torch.full_like(coefficients, change.amount)


def check_numbers(scores: Float[Tensor, "*batch d_vocab"]) -> None:
    """Refuse scores of a changed model that are no numbers: every measure of them would be wrong.

    Raises:
        InputError: a score is not a number.
    """
    if bool(scores.isnan().any()):
        raise InputError(
            "with these changes the model's scores are no numbers",
            "Expected changes that its number type can hold",
            "Give smaller amounts",
        )


class AppliedChanges:
    """Gives the changed coefficients of a layer: see `Transformer.change_coefficients`.

    Args:
        model: whose cells are changed.
        read: the text.
        rows: changes for each row of a batch; if they are for one row, they hold for all. Several for one cell are made one
            after the other.
        where: at which tokens, for changes that do not say.

    Raises:
        InputError: a change is at a token that is not there.
    """

    def __init__(
        self, model: Transformer, read: ModelInput, rows: Sequence[Sequence[Change]], where: Where = "all"
    ) -> None:
        self._where, self._first, self._n_own = where, len(read.before), len(read.own.ids)
        self._grows: Continuation | None = None
        self._by_layer: dict[int, list[tuple[slice, int, Change]]] = {}
        self.stay = True
        """Whether a position stays changed as it is, whatever is written on behind it."""
        for number, changes in enumerate(rows):
            batch_rows = slice(None) if len(rows) == 1 else slice(number, number + 1)
            for change in changes:
                self._check(change)
                self.stay &= where == "all" or change.at is not None
                place, row = model.cells.place(change.cell)
                self._by_layer.setdefault(place, []).append((batch_rows, row, change))

    def _check(self, change: Change) -> None:
        if change.at is not None and not -self._n_own <= change.at < self._n_own:
            raise InputError(
                f"{change} is at token {change.at}, and the text has {self._n_own} tokens",
                f"Expected {-self._n_own} to {self._n_own - 1}",
                "Tokens count from 0; negative numbers count from the end",
            )

    def follow(self, grows: Continuation) -> None:
        """Count tokens as a text does that is written on, of which a pass may run but the end."""
        self._grows = grows

    def __call__(
        self, place: int, coefficients: Float[Tensor, "batch positions cells"]
    ) -> Float[Tensor, "batch positions cells"] | None:
        """What goes into the sum of memories of a layer, by its place; None: what is there."""
        here = self._by_layer.get(place)
        if here is None:
            return None
        changed = coefficients.clone()
        for rows, row, change in here:
            positions = self.positions(change, coefficients.shape[1])
            changed[rows, positions, row] = altered(changed[rows, positions, row], change)
        return changed

    def positions(self, change: Change, n: int) -> slice:
        """Where a change is made among the n positions that a pass runs."""
        n_kept = 0 if self._grows is None else self._grows.n_kept
        if change.at is not None:
            at = self._first + change.at % self._n_own - n_kept
            return slice(max(at, 0), max(at + 1, 0))
        return slice(n - 1, n) if self._where == "last" else slice(max(self._first - n_kept, 0), n)

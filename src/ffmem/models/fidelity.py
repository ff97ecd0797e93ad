"""How well the dictionaries of a model reconstruct what they were trained to, measured on text."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from ffmem.json_values import Record
from ffmem.models.dictionaries.dictionary import Dictionary
from ffmem.models.transformer import Transformer

ModelInputs = tuple[Tensor, Tensor]
"""Token ids and attention mask of one batch."""


@dataclass(frozen=True)
class Fidelity(Record):
    """How well one dictionary reconstructs, over the positions of some sentences."""

    reads: str
    writes: str
    unexplained: float
    """Fraction of variance unexplained: sum |y - y'|^2 / sum |y - mean y|^2; 0: exact, 1: no better than the mean."""
    normalised_mse: float
    """sum |y - y'|^2 / sum |y|^2."""
    n_active: float
    """Cells above 0 at a position, on average."""
    n_positions: int


class _Sums:
    """Adds up, in float64, what the fractions are made of."""

    def __init__(self, d_out: int) -> None:
        self.error = self.square = 0.0
        self.total = torch.zeros(d_out, dtype=torch.float64)
        self.n_active = self.n_positions = 0

    def add(self, dictionary: Dictionary, read: Tensor, written: Tensor) -> None:
        coefficients = dictionary.coefficients(read)
        difference = written.double() - dictionary.reconstruct(coefficients, read).double()
        self.error += float(difference.square().sum())
        self.square += float(written.double().square().sum())
        self.total += written.double().sum(0).cpu()
        self.n_active += int((coefficients > 0).sum())
        self.n_positions += len(written)

    def found(self, dictionary: Dictionary) -> Fidelity:
        variance = self.square - float(self.total.square().sum()) / self.n_positions
        return Fidelity(
            reads=dictionary.facts.reads,
            writes=dictionary.facts.writes,
            unexplained=self.error / variance if variance > 0 else float("inf"),
            normalised_mse=self.error / self.square if self.square > 0 else float("inf"),
            n_active=self.n_active / self.n_positions,
            n_positions=self.n_positions,
        )


def measure_fidelity(model: Transformer, batches: Iterable[tuple[ModelInputs, slice]]) -> dict[str, Fidelity]:
    """Measure all dictionaries of a model.

    Args:
        model: the model.
        batches: inputs of one row each, with the positions that count.

    Returns:
        by name of the dictionary (``L9.tc16k``).

    Cost: a forward pass each; memory of one input's states and coefficients.
    """
    sums = [_Sums(one.values.shape[1]) for one in model.dictionaries]
    for (token_ids, mask), own in batches:
        seen: list[dict[str, Tensor]] = [{} for _ in sums]
        stops = [
            one.watch_both(
                lambda states, here=here: here.update(read=states.detach().clone()),  # type: ignore[misc]
                lambda states, here=here: here.update(written=states.detach().clone()),  # type: ignore[misc]
            )
            for one, here in zip(model.dictionaries, seen, strict=True)
        ]
        try:
            with torch.inference_mode():
                model.forward(token_ids, mask)
        finally:
            for stop in stops:
                stop()
        for one, here, sum_ in zip(model.dictionaries, seen, sums, strict=True):
            place = model.cells.parse_layer(one.cells.own_name)
            read, written = (
                model.own_positions(place, here[name].reshape(1, -1, here[name].shape[-1]))[0, own]
                for name in ("read", "written")
            )
            sum_.add(one, read, written)
    return {one.cells.name: sum_.found(one) for one, sum_ in zip(model.dictionaries, sums, strict=True)}

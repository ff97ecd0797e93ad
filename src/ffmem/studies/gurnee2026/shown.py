"""What the chapters of the study share: names of lenses, numbers of layers and lenses, and tests by thirds of the layers."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered
from ffmem.analyses.lenses.reading import Lens
from ffmem.studies.exhibit import Claim, percent
from ffmem.studies.geva2021.layers import line_rows
from ffmem.studies.verdicts import above, below

NAMES: Mapping[Lens, str] = {
    "raw": "raw",
    "own": "as the last state",
    "folded": "folded",
    "jacobian": "Jacobian",
    "about means": "Jacobian about the means",
    "another layer": "Jacobian of another layer",
    "random": "random direction",
}
_THIRDS = ("lower", "middle", "upper")


@dataclass(frozen=True)
class Measure:
    """Something that lenses are compared by."""

    title: str
    unit: str = "%"
    larger_is_better: bool = True
    drawn: bool = True
    """Whether there is a chart of it."""


@dataclass(frozen=True)
class LayerReadings:
    """One layer, by the name of the measure and the lens."""

    layer: str
    by: dict[str, dict[Lens, Estimate]]
    gain: dict[str, Estimate]
    """The Jacobian lens less the model's own reading, of the same things."""


@dataclass(frozen=True)
class Readings:
    """What lenses came to; what each thing came to lies beside it as arrays."""

    n: int
    """Positions, cells or prefixes."""
    n_documents: int
    n_layers: int
    """Of the model."""
    lenses: tuple[Lens, ...]
    layers: tuple[LayerReadings, ...]
    below_last: dict[str, dict[Lens, Estimate]]
    """Mean of the layers but the last, whose Jacobian is the identity."""


class Summed:
    """Numbers of things, layers and lenses, ready to be summed by document.

    Args:
        document: of each thing.
        lenses: the last axis.
    """

    def __init__(self, document: np.ndarray, lenses: Sequence[Lens]) -> None:
        self._groups, self._n_groups = numbered(document)
        self._lenses = tuple(lenses)
        self.n, self.n_documents = len(document), len(np.unique(document))

    def sums(self, values: np.ndarray) -> Sums:
        """Of numbers of things, in columns; NaN: left out."""
        return Sums.of(values, self._groups, self._n_groups)

    def gain(self, values: np.ndarray, of: Lens = "jacobian", less: Lens = "own") -> np.ndarray:
        """(things, layers): one lens less another."""
        numbers = values.astype(float)
        found: np.ndarray = numbers[..., self._lenses.index(of)] - numbers[..., self._lenses.index(less)]
        return found

    def readings(self, measured: Mapping[str, np.ndarray], names: Sequence[str], n_layers: int) -> Readings:
        """Of (things, layers, lenses) for each measure."""
        each = {name: values.astype(float) for name, values in measured.items()}
        return Readings(
            n=self.n,
            n_documents=self.n_documents,
            n_layers=n_layers,
            lenses=self._lenses,
            layers=tuple(
                LayerReadings(
                    layer=layer,
                    by={name: self._by_lens(values[:, number]) for name, values in each.items()},
                    gain={
                        name: mean_ratio(self.sums(self.gain(values)[:, number]).differences).estimate
                        for name, values in each.items()
                    },
                )
                for number, layer in enumerate(names)
            ),
            below_last={name: self._by_lens(values[:, :-1]) for name, values in each.items()},
        )

    def _by_lens(self, values: np.ndarray) -> dict[Lens, Estimate]:
        return {lens: self._mean(values[..., i]) for i, lens in enumerate(self._lenses)}

    def _mean(self, values: np.ndarray) -> Estimate:
        return mean_ratio(self.sums(values)).estimate


def thirds_below_last(n_layers: int) -> list[tuple[str, list[int]]]:
    """The numbers of the layers but the last in three parts, with a name each; fewer parts where there are few layers."""
    parts = [part.tolist() for part in np.array_split(np.arange(n_layers - 1), len(_THIRDS))]
    return [(name, part) for name, part in zip(_THIRDS, parts, strict=True) if part]


def claims_by_third(
    summed: Summed, names: Sequence[str], values: np.ndarray, measure: Measure, statement: str
) -> Iterator[Claim]:
    """Whether the Jacobian lens is better than the model's own reading, in each third of the layers."""
    for third, numbers in thirds_below_last(values.shape[1]):
        gain = mean_ratio(summed.sums(summed.gain(values)[:, numbers]).differences)
        test = above if measure.larger_is_better else below
        where = f"{names[numbers[0]]} to {names[numbers[-1]]}" if len(numbers) > 1 else names[numbers[0]]
        yield Claim(
            f"in the {third} layers {statement}",
            test(gain, unit=measure.unit),
            f"{where}: Jacobian less as the last state: {told(gain, measure.unit)}",
        )


def told(found: Uncertain, unit: str) -> str:
    """A difference with its interval."""
    low, high = found.interval()
    scale, name = (100, "points") if unit == "%" else (1, unit)
    ends = "" if np.isnan(low) else f" ({scale * low:+.3g} to {scale * high:+.3g})"
    return f"{scale * found.value:+.3g} {name}{ends}".rstrip()


def written(estimate: Estimate, unit: str) -> str:
    """A number as a reader would write it."""
    return f"{percent(estimate.value)} %" if unit == "%" else f"{estimate.value:.3g} {unit}".rstrip()


def lines(found: Readings, measure: str) -> list[dict[str, object]]:
    """Rows of a chart with a line for each lens."""

    def of(lens: Lens, layer: LayerReadings) -> Estimate:
        return layer.by[measure][lens]

    return line_rows(found.layers, {NAMES[lens]: partial(of, lens) for lens in found.lenses})


def verdict_of(gain: Estimate, measure: Measure) -> str:
    """Better, worse, or neither could be told; of one number by itself."""
    if not (gain.low > 0 or gain.high < 0):
        return "same" if gain.value == gain.low == 0 else "cannot be told"
    return "better" if (gain.value > 0) == measure.larger_is_better else "worse"

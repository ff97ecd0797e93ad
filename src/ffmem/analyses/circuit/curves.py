"""Do some cells carry a task by themselves, and is it lost without them? Curves over how many, and what single ones do.

faithfulness = (F(C) - F(none)) / (F(all) - F(none)) with the cells C alone as they are and the others at their mean over
counterfactuals; completeness is the same of all cells but C: 0 if nothing outside does what they do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor

from ffmem.analyses.circuit.kept_cells import KeptCells
from ffmem.analyses.intervals import Sums, Uncertain, each_ratio
from ffmem.errors import InputError

LADDER = (1, 2, 5)
REACHED = 0.8
"""The faithfulness at which a circuit's size is told."""


def ladder(n: int, most: int) -> tuple[int, ...]:
    """0, 1, 2, 5, 10, ... up to the most that is asked, and all nodes."""
    found = [0]
    size = 1
    while size <= min(most, n):
        found += [size * one for one in LADDER if size * one <= min(most, n)]
        size *= 10
    return tuple(dict.fromkeys([*found, n]))


@dataclass(frozen=True)
class Curve:
    """What is left of a task when a rule's first nodes alone are left, and when they alone are missing, for each prompt."""

    rule: str
    sizes: tuple[int, ...]
    """Nodes that are taken: cells at positions."""
    n_cells: tuple[int, ...]
    """Cells among them, wherever they stand."""
    kept: tuple[tuple[float, ...], ...]
    """Sizes x prompts: F(C)."""
    without: tuple[tuple[float, ...], ...]
    """Sizes x prompts: F of all but C; of all nodes F(none)."""
    whole: tuple[float, ...]
    """Prompts: F(all), of the model as it is."""

    @property
    def none(self) -> tuple[float, ...]:
        """Prompts: F(none)."""
        return self.kept[0]


def measure_curve(
    trial: KeptCells,
    rule: str,
    order: Int64[Tensor, "nodes"],
    sizes: Sequence[int],
    whole: Tensor,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> Curve:
    """Both curves of one rule on a template's prompts.

    Args:
        trial: the prompts.
        rule: its name.
        order: of all nodes, those first that it takes first.
        sizes: how many are taken; the first is 0.
        whole: F of each prompt as the model is.
        progress: told how many sizes are done, and of how many.

    Cost: two passes over the prompts for each size.
    """
    kept, without, n_cells = [], [], []
    for done, size in enumerate(sizes):
        mask = trial.nodes.mask(order[:size])
        kept.append(tuple(trial.scores(mask).tolist()))
        without.append(tuple(trial.scores(~mask).tolist()))
        n_cells.append(len(set(trial.nodes.cells(order[:size]))) if size < len(order) else sum(trial.nodes.sizes))
        progress(done + 1, len(sizes))
    return Curve(rule, tuple(sizes), tuple(n_cells), tuple(kept), tuple(without), tuple(whole.tolist()))


def faithfulness(curves: Sequence[Curve], size: int, *, complement: bool = False) -> Uncertain:
    """Of some templates together, each with that many nodes; complement: completeness.

    Returns:
        with the uncertainty of other prompts; NaN if all cells together do nothing.

    Raises:
        InputError: a curve has no such size.
    """
    above, below = [], []
    for curve in curves:
        if size not in curve.sizes:
            raise InputError(
                f"the curve of {curve.rule} has no size {size}",
                f"Expected one of: {curve.sizes}",
                "Ask for one of these",
            )
        at = curve.sizes.index(size)
        none = np.array(curve.none)
        above.append(np.array(curve.without[at] if complement else curve.kept[at]) - none)
        below.append(np.array(curve.whole) - none)
    return each_ratio(Sums(np.concatenate(above)[:, None], np.concatenate(below)[:, None]))[0]


def area(curves: Sequence[Curve]) -> Sums:
    """The area under faithfulness over the logarithm of sizes, as sums whose ratio it is: 1 if the first node does all."""
    sizes = [size for size in curves[0].sizes[:-1] if size]
    places = np.log(np.array(sizes, dtype=float))
    above, below = [], []
    for curve in curves:
        none = np.array(curve.none)
        rows = np.array([curve.kept[curve.sizes.index(size)] for size in sizes]) - none
        area = np.trapezoid(rows, places, axis=0) if len(sizes) > 1 else rows[0]
        above.append(area / (places[-1] - places[0]) if len(sizes) > 1 else area)
        below.append(np.array(curve.whole) - none)
    return Sums(np.concatenate(above)[:, None], np.concatenate(below)[:, None])


def size_reached(curves: Sequence[Curve], share: float = REACHED) -> int | None:
    """The fewest nodes of the ladder with which faithfulness is so large; None: only all nodes have it."""
    for size in curves[0].sizes[:-1]:
        if faithfulness(curves, size).value >= share:
            return size
    return None


@dataclass(frozen=True)
class SingleNodes:
    """What single nodes of a circuit do: how much less of the task is left without each, as a share of all of it."""

    drops: tuple[float, ...]
    """Of nodes of the circuit, each taken out of it alone."""
    gains: tuple[float, ...]
    """Of as many nodes outside, each added to it alone: what a node that is not needed does."""


def single_nodes(
    trial: KeptCells,
    circuit: Bool[Tensor, "nodes"],
    whole: Tensor,
    *,
    most: int,
    seed: int = 0,
    progress: Callable[[int, int], None] = lambda _, __: None,
) -> SingleNodes:
    """Take nodes out of a circuit one by one, and put others into it one by one.

    Args:
        trial: prompts.
        circuit: its nodes.
        whole: F of each prompt as the model is.
        most: nodes of each kind that are tried, at random.
        seed: of the draw.
        progress: told how many are done, and of how many.

    Cost: two passes over the prompts for each node that is tried.
    """
    rng = np.random.default_rng(seed)
    inside, outside = circuit.nonzero().squeeze(1).numpy(), (~circuit).nonzero().squeeze(1).numpy()
    n = min(most, len(inside), len(outside))
    own = trial.scores(circuit).mean()
    scale = float(whole.mean() - trial.scores(torch.zeros_like(circuit)).mean())
    found: list[list[float]] = [[], []]
    for done in range(n):
        for number, some in enumerate((inside, outside)):
            if not done:
                rng.shuffle(some)
            other = circuit.clone()
            other[some[done]] = ~other[some[done]]
            change = float(own - trial.scores(other).mean()) / scale
            found[number].append(change if number == 0 else -change)
        progress(done + 1, n)
    return SingleNodes(tuple(found[0]), tuple(found[1]))


def overlap(one: Sequence[tuple[int, int]], other: Sequence[tuple[int, int]]) -> float:
    """The share of cells that two circuits have together, of all that either has; NaN if neither has any."""
    first, second = set(one), set(other)
    return len(first & second) / len(first | second) if first | second else float("nan")


def chance_overlap(n_one: int, n_other: int, n: int) -> float:
    """What `overlap` comes to for as many cells at random, of n: its value at the expected number in both."""
    both = n_one * n_other / n
    return both / (n_one + n_other - both) if n_one + n_other else float("nan")

"""What the chapters share: shares of the cells of each layer, of which cells are drawn."""

import numpy as np
from jaxtyping import Int64, Shaped

from ffmem.analyses.intervals import Estimate, Sums, numbered, proportion
from ffmem.studies.results import Findings, Results


def arrays_of(findings: Findings, experiment: str) -> dict[str, np.ndarray]:
    """What an experiment keeps beside its result."""
    return Results(findings.folder, findings.header).load_arrays(experiment)


def cell_sums(
    layer: Int64[np.ndarray, "cells"],
    has: Shaped[np.ndarray, "cells"],
    n_layers: int,
    of: Shaped[np.ndarray, "cells"] | None = None,
) -> Sums:
    """Of cells that have a property, how many do of each layer: a column for each; cells are what is drawn.

    Args:
        layer: the place of the layer of each cell.
        has: 1 where a cell has the property, or the difference of two such.
        n_layers: how many.
        of: which cells count at all; by default every one.
    """
    counted = np.ones(len(layer), dtype=bool) if of is None else of.astype(bool)
    own = (layer[:, None] == np.arange(n_layers)) & counted[:, None]
    values = np.where(own, has[:, None].astype(np.float64), np.nan)
    return Sums.of(values, *numbered(np.arange(len(layer))))


def of_all(has: Shaped[np.ndarray, "cells"]) -> Estimate:
    """A share of all cells, with Wilson's interval."""
    return proportion(int(has.sum()), len(has))

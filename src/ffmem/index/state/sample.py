"""A sample of the positions of every cell, stratum by stratum, kept on a CPU; and how two of them become one.

What a sample holds is a function of the set of all coefficients that were seen, in whatever order: a stratum keeps the
largest keys, and when the largest coefficient of a cell rises into a higher bin, its strata move down, the lowest of them into
the rest, which keeps the largest keys of both. Knows no model. store/strata.py says what the strata are;
`torch_sample.TorchSample` does the same with tensors.
"""

import numpy as np
from jaxtyping import Float32, Int64

from ffmem.index.state.sample_kernel import merge_lists_of_strata, observe_sample
from ffmem.store.fields import SAMPLE_FIELDS
from ffmem.store.keys import upper
from ffmem.store.strata import LOT_BITS, N_ACTIVE, NO_BIN, bins_of


class CpuSample:
    """The sample of some cells, kept by compiled loops in one thread.

    Args:
        n_signs: 2 where negative coefficients have strata of their own, else 1.
        sizes: length of each axis: see `fields.axis_sizes`.
    """

    def __init__(self, n_signs: int, sizes: dict[str, int]) -> None:
        self._state: dict[str, np.ndarray] = {field.name: field.empty(sizes) for field in SAMPLE_FIELDS}
        """The fields of a sample, by name; counts are brought there when they are asked for."""
        self._tallies = np.zeros(self._state["sample_count"].size, dtype=np.int64)
        """Counts as they are, and lots: see `observe_sample`."""
        self._bins = np.full((n_signs, sizes["cells"]), NO_BIN, dtype=np.int32)
        """Of the largest coefficient of each sign."""
        self._first_list = np.arange(sizes["cells"], dtype=np.int32) * np.int32(sizes["strata"])

    def observe(
        self,
        values: Float32[np.ndarray, "sentences positions cells"],
        first_position: int,
        lengths: Int64[np.ndarray, "sentences"],
        sample_keys: Int64[np.ndarray, "sentences competing"],
    ) -> None:
        """Let the coefficients of one batch compete: see `places.Places`."""
        n_lists = len(self._tallies)
        observe_sample(
            values.view(np.int32),
            first_position,
            lengths,
            sample_keys,
            self._first_list,
            self._state["sample_keys"].reshape(n_lists, -1),
            self._state["sample_coefficient"].view(np.int32).reshape(n_lists, -1),
            self._tallies,
            self._bins,
        )

    def state(self) -> dict[str, np.ndarray]:
        """The fields of a sample, by name."""
        counts = self._state["sample_count"]
        counts[:] = (self._tallies >> LOT_BITS).reshape(counts.shape)
        return self._state

    def load(self, state: dict[str, np.ndarray]) -> None:
        """Go on from a state."""
        for name, array in self._state.items():
            array[:] = state[name]
        self._bins[:] = largest_bins(state, len(self._bins))
        lots = upper(self._state["sample_keys"][:, :, -1])
        self._tallies[:] = ((self._state["sample_count"] << LOT_BITS) | lots).reshape(-1)


def largest_bins(state: dict[str, np.ndarray], n_signs: int) -> np.ndarray:
    """The bin of the largest coefficient of each sign, (signs, cells), from the extremes that the state of a layer has."""
    return bins_of(np.stack((state["maximum"], -state["minimum"])[:n_signs]))


def merge_samples(ours: dict[str, np.ndarray], theirs: dict[str, np.ndarray]) -> None:
    """Put what two states of a layer have together into the first; before the extremes of both are joined.

    The other's sample is changed, too.
    """
    n_signs = ours["sample_count"].shape[1] // N_ACTIVE
    names = [field.name for field in SAMPLE_FIELDS]
    (keys, coefficients, counts), (their_keys, their_coefficients, their_counts) = (
        [state[name] for name in names] for state in (ours, theirs)
    )
    bins, their_bins = largest_bins(ours, n_signs), largest_bins(theirs, n_signs)
    merge_lists_of_strata(keys, coefficients, counts, bins, their_keys, their_coefficients, their_counts, their_bins)

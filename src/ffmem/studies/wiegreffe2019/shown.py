"""What chapters of the study share: names of patches, means over documents, numbers in words."""

from collections.abc import Mapping

import numpy as np

from ffmem.analyses.diagnostics.patched import Patch
from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered

NAMES: Mapping[Patch, str] = {
    "uniform": "uniform",
    "frozen": "frozen: mean map of other texts",
    "shuffled text": "of the same tokens in random order",
    "permuted": "own, in random order",
    "norms": "norms of values alone",
    "nothing": "no attention at all",
    "own": "own",
}


def told(found: Uncertain, unit: str = "nats") -> str:
    """A number with its interval."""
    low, high = found.interval()
    ends = "" if np.isnan(low) else f" ({low:+.3g} to {high:+.3g})"
    return f"{found.value:+.3g} {unit}{ends}"


class ByDocument:
    """Means over things of documents, with intervals that draw documents.

    Args:
        document: of each thing.
    """

    def __init__(self, document: np.ndarray) -> None:
        self._groups, self._n_groups = numbered(document)
        self.n_documents = len(np.unique(document))

    def mean(self, values: np.ndarray) -> Uncertain:
        """Of a number of each thing; NaN is left out. Of several columns, the mean of their means."""
        return mean_ratio(Sums.of(values, self._groups, self._n_groups))

    def difference(self, more: np.ndarray, less: np.ndarray) -> Uncertain:
        """The mean of one number of each thing less another."""
        return mean_ratio(Sums.of(more - less, self._groups, self._n_groups).differences)

    def estimate(self, values: np.ndarray) -> Estimate:
        """The same, with its interval."""
        return self.mean(values).estimate

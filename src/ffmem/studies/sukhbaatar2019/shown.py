"""What the chapters share: what was measured at positions, and how numbers are told."""

from dataclasses import fields

import numpy as np

from ffmem.analyses.intervals import Sums, Uncertain, mean_ratio, numbered
from ffmem.analyses.softmax_memories import Use
from ffmem.studies.results import Findings, Results

OWN, BESIDE = "softmax memories", "ReLU cells"
"""Names of what is compared."""


def use_of(findings: Findings, experiment: str) -> Use:
    """What an experiment measured."""
    arrays = Results(findings.folder, findings.header).load_arrays(experiment)
    return Use(**{one.name: arrays[one.name] for one in fields(Use)})


def sums_of(values: np.ndarray, document: np.ndarray) -> Sums:
    """What documents add to the means of numbers of each position, a column each."""
    return Sums.of(values, *numbered(document))


def mean_of(values: np.ndarray, document: np.ndarray) -> Uncertain:
    """The mean of numbers of each position; of several columns, the mean of theirs. Documents are drawn."""
    return mean_ratio(sums_of(values, document))


def told(found: Uncertain, unit: str = "nats") -> str:
    """A number with its interval."""
    low, high = found.interval()
    ends = "" if np.isnan(low) else f" ({low:+.3g} to {high:+.3g})"
    return f"{found.value:+.3g}{f' {unit}' if unit else ''}{ends}"

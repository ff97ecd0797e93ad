"""Patterns among the triggers of cells, found and scored by machine."""

from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.scoring import score_patterns

__all__ = ["measure_patterns", "score_patterns"]

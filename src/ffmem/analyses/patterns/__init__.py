"""Patterns among the triggers of cells, found and scored by machine."""

from ffmem.analyses.patterns.measure import measure_patterns

__all__ = ["measure_patterns"]

"""Patterns among the triggers of cells, found and scored by machine."""

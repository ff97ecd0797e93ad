"""Circuits of cells: Arora et al. 2026."""

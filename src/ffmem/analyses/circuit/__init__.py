"""Circuits: which cells, heads and tokens carry a prediction through all layers, and whether they carry it alone."""

"""Carlini et al. 2019 and 2021, with what followed: what a model has memorised, and which cells recall it."""

"""Experiments on a model: run, kept, held against controls, told."""

"""Transcoders and sparse autoencoders beside the layers of a model: their files, and their entries as cells."""

"""Patches: changes of a model's values in a small file, applied when the model is loaded, and undone to the byte."""

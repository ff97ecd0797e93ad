"""What a model has memorised of its training text, how that shows from outside, and which cells recall it."""

"""One pass: a model over a corpus gives a store."""

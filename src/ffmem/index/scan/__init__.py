"""What a worker does: the model over the text of shards, and the tokens that values promote."""

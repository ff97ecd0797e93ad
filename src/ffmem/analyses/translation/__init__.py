"""Where a source word becomes a target word: states of every layer, read by the model's own frozen head."""

"""Any Transformer seen as layers of keys and values."""

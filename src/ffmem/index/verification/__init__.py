"""Whether an index is what it says: its files, its arrays, and what the model itself gives."""

"""The text side of a store, as it is written."""

"""The format on disk, read and written: arrays, text, manifest. Knows no model; needs no torch."""

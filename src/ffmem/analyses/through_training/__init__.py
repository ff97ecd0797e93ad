"""The same cells at several moments of one training: what they fire on, how far they move, when they live and die."""

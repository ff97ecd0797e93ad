"""Memories through training: one study, of the checkpoints of one training."""

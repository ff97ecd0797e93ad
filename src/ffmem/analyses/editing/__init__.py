"""What a model says is changed in its values, and everything else that changes with it."""

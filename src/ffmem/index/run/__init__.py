"""Who does the work: tasks, workers, and what becomes of those that fail."""

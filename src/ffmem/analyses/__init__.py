"""Questions that need the model itself, each with a frozen result."""

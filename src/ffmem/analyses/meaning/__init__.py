"""Does meaning grow with depth? What decides cells' coefficients: last words, position, topic, or words further back."""

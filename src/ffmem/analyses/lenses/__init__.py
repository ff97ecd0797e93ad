"""Ways to read a state or a value over the vocabulary, held to what the model does with them."""

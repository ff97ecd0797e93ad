"""One pass over a corpus, and the store it makes."""

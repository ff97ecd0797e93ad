"""A picture of all cells: where each lies, how far that can be trusted, in which colours, and which lie in an outline."""

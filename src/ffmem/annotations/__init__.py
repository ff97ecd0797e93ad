"""What people say about the triggers of cells, and what follows from it: the annotation protocol of Geva et al. 2021."""

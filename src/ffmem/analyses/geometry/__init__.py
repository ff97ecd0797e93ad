"""How many dimensions a cloud of points has, and who its neighbours are: Valeriani et al. 2023."""

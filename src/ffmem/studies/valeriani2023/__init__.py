"""The geometry of states: Valeriani et al. 2023."""

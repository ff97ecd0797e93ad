"""The geometry of hidden states: Valeriani et al. 2023."""

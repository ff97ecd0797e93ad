"""The experiments of Geva et al. 2021: feed-forward layers as key-value memories."""

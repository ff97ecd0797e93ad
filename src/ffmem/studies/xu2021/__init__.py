"""Word translation by layer: Xu et al. 2021."""

"""How many memories a layer needs: Gupta et al. 2021."""

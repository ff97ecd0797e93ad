"""The experiments of Geva et al. 2021 on any model: run, kept, drawn, told."""

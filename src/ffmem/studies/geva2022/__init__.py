"""Value updates: Geva et al. 2022, with Gurnee et al. 2024 and Stolfo et al. 2024."""

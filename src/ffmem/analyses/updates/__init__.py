"""What feed-forward layers add to a prediction, value by value: Geva et al. 2022, Gurnee et al. 2024, Stolfo et al. 2024."""

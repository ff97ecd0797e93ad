"""Sparsity and dead cells: Wild & Anderson 2024, with Li et al. 2023 and Voita et al. 2023."""

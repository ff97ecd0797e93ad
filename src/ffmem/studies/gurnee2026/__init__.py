"""The Jacobian lens beside others: Gurnee et al. 2026."""

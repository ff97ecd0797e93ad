"""Changing facts: Meng et al. 2022, with Zhu et al. 2020, Dai et al. 2022 and Meng et al. 2023."""

"""The experiments of Kobayashi et al. 2020 (section 4) and 2021: attention by norms."""

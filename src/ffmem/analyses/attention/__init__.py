"""Attention by norms: what each source adds to the stream, beside the weights (Kobayashi et al. 2020, 2021)."""

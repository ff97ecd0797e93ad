"""Memories in the softmax of attention: Sukhbaatar et al. 2019."""

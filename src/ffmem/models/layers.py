"""The kinds of feed-forward layers that a model may have."""

from torch import nn

from ffmem.models.base import Layout
from ffmem.models.feed_forward import DenseLayer, at
from ffmem.models.mixture import MixtureLayer
from ffmem.models.softmax_layer import SoftmaxLayer

FeedForward = DenseLayer | MixtureLayer
"""Rows of keys and values are cells; an expert's cells follow those of the expert before."""


def read_layer(module: nn.Module, layout: Layout, number: int) -> FeedForward:
    """The feed-forward layer of a Transformer layer: a mixture if it has experts; memories that stand in attention."""
    if layout.in_attention:
        return SoftmaxLayer(module, layout, number)
    has_experts = layout.experts and hasattr(at(module, layout.experts.split(".")[0]), layout.experts.split(".")[-1])
    return MixtureLayer(module, layout, number) if has_experts else DenseLayer(module, layout, number)

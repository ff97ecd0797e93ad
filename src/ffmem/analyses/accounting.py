"""Where a model's parameters are: attention, feed-forward layers, embeddings, norms."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class Parameters:
    """Numbers of parameters; a matrix that is used twice counts once."""

    attention: int
    feed_forward: int
    """Keys, values and their biases; routers of mixtures, too."""
    norms: int
    other: int
    """Embeddings, positions, head."""

    @property
    def total(self) -> int:
        """All of them."""
        return self.attention + self.feed_forward + self.norms + self.other

    @property
    def feed_forward_fraction(self) -> float:
        """Of the parameters in attention and feed-forward layers; in the first Transformer 8 d^2 of 12 d^2, but for biases."""
        return self.feed_forward / (self.attention + self.feed_forward)


def count_parameters(model: Transformer) -> Parameters:
    """The parameters of a model, by what they belong to.

    Source: the 4 d^2 of attention against the 8 d^2 of a feed-forward layer are those of Vaswani et al. 2017; gated layers
    (3 d d_ff) and shared keys (GQA) have other shares, so here they are counted.
    """
    seen: set[int] = set()
    counts = {"attention": 0, "feed_forward": 0, "norms": 0, "other": 0}

    def count(part: str, parameters: Iterable[Tensor]) -> None:
        for parameter in parameters:
            if id(parameter) not in seen:
                seen.add(id(parameter))
                counts[part] += parameter.numel()

    for place in range(model.facts.n_layers):
        layer, layout = model.layer(place), model.layout(place)
        paths = [layout.experts.rpartition(".")[0] or layout.experts] if model.cells.layers[place].n_experts else []
        paths += [path for one in layout.shared if paths for path in (one.gate_key, one.up_key, one.value) if path]
        paths = paths or ([layout.value] if layout.in_attention else [])
        paths = paths or [path for path in (layout.key, layout.gate_key, layout.up_key, layout.value) if path]
        for path in paths:
            count("feed_forward", layer.at(path).parameters())
    for module in model.module.modules():
        if "Norm" in type(module).__name__:
            count("norms", module.parameters())
    for place in range(model.facts.n_layers):
        count("attention", model.layer(place).module.parameters())  # what is left of a layer
    count("other", model.module.parameters())
    return Parameters(**counts)

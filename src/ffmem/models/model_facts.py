"""The facts of a loaded model, and whether its matrices have the shapes that they promise."""

from typing import TYPE_CHECKING

from ffmem.errors import ModelError
from ffmem.models.base import Layout
from ffmem.store.facts import ModelFacts

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer


def is_gated(layout: Layout) -> bool:
    """Whether cells have gate keys and up keys."""
    return layout.stacked.gated if layout.experts and not layout.gate_key else bool(layout.gate_key)


def facts_of(model: "Transformer", name: str) -> ModelFacts:
    """Its facts, when it has its layers, cells and unembedding; "causal" is what its family says until it is proved."""
    config, layout, first = model.module.config, model.layout(-1), model.layer(0)
    return ModelFacts(
        name=name,
        family=model.family.name,
        architecture=type(model.module).__name__,
        n_layers=len(model.cells.layers),
        layers=model.cells.layers,
        d_model=first.values().shape[1],
        d_ff=first.cells.d_ff,
        d_vocab=model.unembedding.d_vocab,
        activation=str(getattr(config, model.family.activation, model.family.activation)),
        gated=is_gated(layout),
        key_bias=first.key_bias() is not None,
        value_bias=first.value_bias() is not None,
        norm=layout.norm,
        norm_placement=layout.placement,
        parallel=layout.parallel,
        causal=model.family.causal,
        max_length=model.family.max_length(config),
        projections=model.unembedding.projections,
        dtype=str(first.values().dtype).removeprefix("torch."),
        labels=model.unembedding.labels,
    )


def check_shapes(model: "Transformer") -> None:
    """Keys and values are (cells, d_model); an adapter that is wrong is found here, not in results.

    Raises:
        ModelError: they are not; the message says which, of which layer.
    """
    for place, cells in enumerate(model.cells.layers):
        layer, expected = model.layer(place), (cells.n_cells, model.facts.d_model)
        keys = (
            {"gate keys": layer.gate_keys(), "up keys": layer.up_keys()}
            if model.facts.gated
            else {"keys": layer.keys()}
        )
        for what, rows in {"values": layer.values(), **keys}.items():
            if rows.shape != expected:
                raise ModelError(
                    f"the {what} of layer {cells.name} of {model.facts.name} have the shape {tuple(rows.shape)}",
                    f"Expected {expected[0]} of {expected[1]} numbers",
                    "This model departs from its family: see docs/how-to/add-a-family.md",
                )

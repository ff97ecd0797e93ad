"""What a feed-forward layer adds to the stream, with something added to it, so that a gradient can say what that should be."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.editing.asking import Asked, batches
from ffmem.errors import InputError
from ffmem.models.patches.changes import check_changeable
from ffmem.models.transformer import Transformer

Add = Callable[[Float[Tensor, "batch positions cells"]], Float[Tensor, "batch positions d_model"]]
"""From a layer's coefficients to what is added to its output."""


def check_editable(model: Transformer, place: int) -> None:
    """Refuse a model, or a layer, whose answers cannot be changed through its values.

    Raises:
        InputError: it gives no scores, is an encoder-decoder, or the layer's values cannot be changed.
    """
    check_answers(model)
    check_changeable(model, place)


def check_answers(model: Transformer) -> None:
    """Refuse a model that has no answer to a prompt.

    Raises:
        InputError: it gives no scores, or is an encoder-decoder.
    """
    if not model.has_head or any(layer.stack for layer in model.facts.layers):
        what = "is an encoder-decoder" if model.has_head else "gives no scores over a vocabulary"
        raise InputError(
            f"{model.facts.name} {what}, so that there is no answer behind a prompt to change",
            "Expected a model that predicts the next token of a text, or one under a mask",
            "Use a causal language model, or a masked one with its head",
        )


@contextmanager
def added_to_output(model: Transformer, place: int, add: Add) -> Iterator[None]:
    """While it lasts, ``add(m)`` is added to y = sum of m_i v_i + b of one layer, before any norm that follows; gradients pass.

    Args:
        model: whose layer.
        place: of the layer.
        add: called once in each pass.
    """
    seen: list[Tensor] = []

    def keep(_: int, coefficients: Tensor) -> None:
        seen[:] = [coefficients]

    def hook(_: Any, __: Any, output: Any) -> Any:
        y = output[0] if isinstance(output, tuple) else output
        more = add(seen.pop()).reshape(y.shape).to(y.dtype)
        return (y + more, *output[1:]) if isinstance(output, tuple) else y + more

    with model.watch_coefficients(keep, layers=[place]):
        handle = model.layer(place).output_module.register_forward_hook(hook)
        try:
            yield
        finally:
            handle.remove()


def at_keys(rows: list[Asked], vector: Float[Tensor, "d_model"]) -> Add:
    """What adds one vector at the key position of each row of a batch, and nothing elsewhere."""
    keys = torch.tensor([one.key for one in rows])

    def add(m: Float[Tensor, "batch positions cells"]) -> Float[Tensor, "batch positions d_model"]:
        here = (torch.arange(m.shape[1]) == keys[:, None]).to(vector.device)
        return here[..., None] * vector

    return add


def key_coefficients(
    model: Transformer, places: list[int], rows: list[Asked]
) -> dict[int, Float[Tensor, "rows cells"]]:
    """The coefficients of some layers at the key position of each row, float64: one pass of each."""
    found = {place: torch.zeros(len(rows), model.cells.layers[place].n_cells, dtype=torch.float64) for place in places}
    with torch.no_grad():
        for some, ids, mask in batches(model, rows):
            keys = [rows[number].key for number in some]

            def keep(place: int, m: Tensor, some: list[int] = some, keys: list[int] = keys) -> None:
                found[place][some] = m[range(len(some)), keys].double().cpu()

            with model.watch_coefficients(keep, layers=places):
                model.forward(ids, mask)
    return found

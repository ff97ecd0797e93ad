"""Modules that are linear maps, by what they gave in a pass."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from ffmem.models.feed_forward import rows
from ffmem.models.structure.numbers import TOLERANCE, error
from ffmem.models.structure.recording import Call


def is_matrix(call: Call, limit: float = TOLERANCE) -> bool:
    """Whether a module multiplies its one input with its weight, and adds its bias."""
    weight = getattr(call.module, "weight", None)
    if not isinstance(weight, Tensor) or weight.ndim != 2 or isinstance(call.module, nn.Embedding):
        return False
    if len(call.inputs) != 1 or len(call.outputs) != 1:
        return False
    matrix = rows(call.module).detach().float().cpu()
    if matrix.shape != (call.input.shape[-1], call.output.shape[-1]):
        return False
    expected = call.input.float() @ matrix
    bias = getattr(call.module, "bias", None)
    if bias is not None:
        expected = expected + bias.detach().float().cpu()
    return error(expected, call.output.float()) <= limit


def matrices(calls: Sequence[Call], limit: float = TOLERANCE) -> list[Call]:
    """The runs of linear maps, each checked."""
    return [call for call in calls if is_matrix(call, limit)]


def relative(path: str, prefix: str) -> str:
    """A path from a module that it lies in."""
    return path.removeprefix(prefix).removeprefix(".") if prefix else path


def weight_of(module: Any) -> Tensor:
    """The rows of a linear map, a row for each input."""
    return rows(module).detach().float().cpu()


def embedding_of(module: Any) -> Any | None:
    """The embedding of a model's tokens; None if it has none, or does not say which it is."""
    try:
        return module.get_input_embeddings()
    except (NotImplementedError, AttributeError):
        return None

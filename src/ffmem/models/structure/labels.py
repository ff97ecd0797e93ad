"""A classifier's head: the matrix from a state to scores of labels, where nothing but a norm stands before it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ffmem.models.base import LabelHead
from ffmem.models.structure.dense import Hypotheses
from ffmem.models.structure.matrices import is_matrix
from ffmem.models.structure.norms import norm_kind
from ffmem.models.structure.numbers import error
from ffmem.models.structure.recording import Call, Recording, mark


@dataclass(frozen=True)
class Labels:
    """What was found of a classifier's head."""

    head: LabelHead | None = None
    norm: Call | None = None
    """The norm before it."""
    told: str = ""
    """Where its scores are no linear map of a value: why."""


def find_labels(model: Any, recording: Recording, last: Call, state: Tensor, tried: Hypotheses) -> Labels:
    """How the last layer's output becomes scores of labels; nothing at all if the model gives none.

    Args:
        model: the model.
        recording: of the pass.
        last: the last layer's run.
        state: its output.
        tried: activations, for what stands between them to be named; and the largest error.
    """
    scores, ends = _scores_of(recording.answer)
    if scores is None:
        return Labels()
    after = [call for call in recording.calls if call.begin > last.end and call.inputs and call.outputs]
    for call in after:
        if is_matrix(call, tried.limit) and _is_among(scores, call.output, tried.limit):
            return _before(call, state, after, _names(model.config, call.output.shape[1], ends), tried)
    return Labels(told="no matrix gives its scores")


def _scores_of(answer: Any) -> tuple[Tensor | None, tuple[str, ...]]:
    """The scores that a model gave of its labels, a row for each position or one; and their names, of the ends of an answer."""
    start, end = (getattr(answer, f"{name}_logits", None) for name in ("start", "end"))
    if isinstance(start, Tensor) and isinstance(end, Tensor) and start.ndim == end.ndim == 2:
        return torch.stack((start[0], end[0]), 1).detach().float().cpu(), ("start", "end")
    logits = getattr(answer, "logits", None)
    if not isinstance(logits, Tensor) or logits.ndim not in (2, 3):
        return None, ()
    return logits[0].detach().float().cpu().reshape(-1, logits.shape[-1]), ()


def _is_among(scores: Tensor, output: Tensor, limit: float) -> bool:
    """Whether these are the outputs of a matrix, at all positions or at one."""
    if scores.numel() == output.numel():
        return error(output.flatten(), scores.flatten()) <= limit
    return len(scores) == 1 and _row_of(scores, output, limit) is not None


def _row_of(one: Tensor, rows: Tensor, limit: float) -> int | None:
    """Which of some rows a single one is; None: it is none of them."""
    if len(one) != 1 or rows.shape[-1] != one.shape[-1]:
        return None
    return next((number for number, row in enumerate(rows) if error(row[None], one) <= limit), None)


def _names(config: Any, n: int, ends: tuple[str, ...]) -> tuple[str, ...]:
    named = getattr(config, "id2label", None) or {}
    return ends or tuple(str(named.get(number, f"LABEL_{number}")) for number in range(n))


def _before(call: Call, state: Tensor, after: Sequence[Call], names: tuple[str, ...], tried: Hypotheses) -> Labels:
    """Whether the matrix of the scores reads the stream itself, or its norm."""
    given, limit = call.input, tried.limit
    for norm in _norms(state, after, limit):
        if _reads(given, norm.output, limit):
            return Labels(LabelHead(call.path, norm.path, names), norm)
    if _reads(given, state, limit):
        return Labels(LabelHead(call.path, "", names))
    between = [one for one in after if one.end < call.begin and not any(True for _ in one.module.children())]
    steps = [one.path for one in between if not _is_same(one)]
    if between and (name := _activation(between[-1].output, given, tried)) is not None:
        steps.append(name)
    return Labels(told=f"between the last layer and {call.path} stand {', '.join(steps) or 'operations of no module'}")


def _activation(products: Tensor, given: Tensor, tried: Hypotheses) -> str | None:
    """What products go through to be what a matrix is given, where no module does it."""
    return next(
        (name for name, function in tried.named.items() if _reads(given, function(products), tried.limit)), None
    )


def _norms(state: Tensor, after: Sequence[Call], limit: float) -> Iterator[Call]:
    for one in after:
        if mark(one.input) == mark(state) and norm_kind(one, limit) is not None:
            yield one


def _reads(given: Tensor, states: Tensor, limit: float) -> bool:
    if given.shape == states.shape:
        return error(given, states) <= limit
    return _row_of(given, states, limit) is not None


def _is_same(call: Call) -> bool:
    return call.input.shape == call.output.shape and torch.equal(call.input, call.output)

"""v*: what a layer should add at a subject's last token, so that the model says something else. Nothing is changed yet."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.analyses.editing.asking import Asked, answer_scores, batches, own_logits
from ffmem.analyses.editing.options import EditOptions
from ffmem.analyses.editing.outputs import added_to_output, at_keys
from ffmem.models.transformer import Transformer

_ENOUGH = 0.02
"""Nats a row below which the answer is sure enough."""


@dataclass(frozen=True)
class Wanted:
    """What is to be added to the output of a layer at a key."""

    change: Float[Tensor, "d_model"]
    """Float64."""
    before: float
    """Mean ln P(new) over the contexts, as the model is."""
    after: float
    """The same with the change added."""
    n_steps: int


def wanted_change(
    model: Transformer,
    place: int,
    rows: Sequence[Asked],
    kept: Asked | None,
    size: float,
    options: EditOptions,
    on_step: Callable[[int], None] = lambda _: None,
) -> Wanted:
    """The change d of a layer's output at the key of each row that makes the rows' answers probable.

    Minimises mean -ln P(answer) + keep KL(own || changed) + decay |d|^2 / size^2 by Adam, d staying within reach x size. ROME's
    code takes the norm where its text has none to take; here the decay is of the squared length.

    Args:
        model: its weights stay as they are.
        place: of the layer.
        rows: the prompt with the new answer, in each of its contexts.
        kept: a row whose prediction at its first position is to stay; None: none is.
        size: the length that steps and decay are measured by.
        options: see there.
        on_step: called with the number of steps that are done.

    Cost: for each step a pass of all rows, and one back down to the layer.
    """
    unit = size / model.facts.d_model**0.5
    steps = torch.zeros(model.facts.d_model, device=model.device, requires_grad=True)
    optimiser = torch.optim.Adam([steps], lr=options.rate)
    own = None if kept is None or options.keep == 0 else _prediction(model, place, kept, torch.zeros_like(steps))
    before = after = float("nan")
    n_done = 0
    for number in range(options.steps + 1):
        optimiser.zero_grad()
        loss = _answers(model, place, rows, steps * unit, backward=number < options.steps)
        before, after = (-loss if number == 0 else before), -loss
        n_done = number
        on_step(number)
        if number == options.steps or loss < _ENOUGH:
            break
        rest = options.decay * ((steps * unit) ** 2).sum() / size**2
        if own is not None and kept is not None:
            now = _prediction(model, place, kept, steps * unit)
            rest = rest + options.keep * (own.detach().exp() * (own.detach() - now)).sum()
        if number == 0 and steps.grad is not None and not bool(steps.grad.any()):
            break  # nothing that is added here reaches the answers
        torch.autograd.backward(rest)
        optimiser.step()
        with torch.no_grad():
            length = float(steps.norm()) * unit
            if length > options.reach * size:
                steps.mul_(options.reach * size / length)
    return Wanted((steps.detach() * unit).double().cpu(), before, after, n_done)


def _answers(
    model: Transformer, place: int, rows: Sequence[Asked], change: Float[Tensor, "d_model"], *, backward: bool
) -> float:
    """Mean -ln P(answer); its gradient is added to that of the change."""
    total = 0.0
    for some, ids, mask in batches(model, rows):
        own = [rows[number] for number in some]
        with torch.set_grad_enabled(backward), added_to_output(model, place, at_keys(own, change)):
            loss = -answer_scores(own_logits(model, ids, mask), own).sum() / len(rows)
        if backward:
            torch.autograd.backward(loss, retain_graph=True)
        total += float(loss.detach())
    return total


def _prediction(
    model: Transformer, place: int, row: Asked, change: Float[Tensor, "d_model"]
) -> Float[Tensor, "d_vocab"]:
    """Ln p at the first position of a row, with something added at its key."""
    ids = torch.tensor([row.ids], device=model.device)
    with added_to_output(model, place, at_keys([row], change)):
        found: Tensor = own_logits(model, ids, None)[0, row.at[0]].float().log_softmax(-1)
    return found

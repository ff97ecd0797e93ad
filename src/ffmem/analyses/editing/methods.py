"""Ways to change values so that a model says something else: each gives changes, and leaves the model as it was."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from ffmem.analyses.editing.asking import Asked, answer_scores, asked, batches, own_logits
from ffmem.analyses.editing.facts import Fact
from ffmem.analyses.editing.knowledge import knowledge_cells
from ffmem.analyses.editing.moments import Moments
from ffmem.analyses.editing.options import EditOptions
from ffmem.analyses.editing.outputs import added_to_output, check_editable, key_coefficients
from ffmem.analyses.editing.solve import low_rank_update
from ffmem.analyses.editing.wanted import Wanted, wanted_change
from ffmem.analyses.one_token import one_token
from ffmem.errors import InputError
from ffmem.models.patches.changes import Added, Change, Replaced, changed_values
from ffmem.models.transformer import Transformer

MomentsOf = Callable[[Sequence[int]], Mapping[int, Moments]]
"""From the places of layers to their second moments."""
_SURE = 0.01
"""Nats a fact below which values are tuned no further."""


@dataclass(frozen=True)
class Edit:
    """What a method gives."""

    changes: Mapping[int, Change]
    """By the place of the layer."""
    wanted: tuple[Wanted, ...] = ()
    """Of rome and memit: what the layer's output is to be more, for each fact."""
    cells: tuple[str, ...] = ()
    """Of knowledge: the cells whose values move."""


@dataclass(frozen=True)
class Workshop:
    """A model, and what its edits are made with."""

    model: Transformer
    options: EditOptions
    openings: tuple[str, ...]
    """Put before prompts, beside the bare prompt."""
    moments: MomentsOf
    on_step: Callable[[int], None] = field(default=lambda _: None)

    def rows(self, fact: Fact) -> list[Asked]:
        """The prompt with the new answer, alone and behind each opening."""
        return [asked(self.model, fact.prompt, fact.new, fact.subject, before) for before in ("", *self.openings)]

    def kept(self, fact: Fact) -> Asked | None:
        """What the model says of the subject otherwise; None where there is no subject, or no next token."""
        if not fact.subject or not self.model.facts.causal:
            return None
        return asked(self.model, f"{fact.subject} is a", "thing", fact.subject)

    def key(self, place: int, rows: Sequence[Asked]) -> Float64[Tensor, "cells"]:
        """k*: the mean coefficients of a layer at the keys of the rows."""
        return key_coefficients(self.model, [place], list(rows))[place].mean(0)

    def output(self, place: int, key: Float64[Tensor, "cells"]) -> Float64[Tensor, "d_model"]:
        """What the values give at k*, with the layer's bias."""
        values, bias = self.model.values(place).double().cpu(), self.model.value_bias(place).double().cpu()
        return key @ values + bias


def place_of(model: Transformer, layer: int | None) -> int:
    """The place of a layer that is named by its number; by default a third of the way up.

    Raises:
        InputError: there is no such layer.
    """
    n = model.facts.n_layers
    if layer is None:
        return (n - 1) // 3
    if not 0 <= layer < n:
        raise InputError(
            f"--layer is {layer}, and {model.facts.name} has {n} layers",
            f"Expected a number from 0 to {n - 1}",
            f"Write --layer {(n - 1) // 3}",
        )
    return layer


def make_edit(workshop: Workshop, facts: Sequence[Fact]) -> Edit:
    """The changes that one method makes for some facts.

    Raises:
        InputError: the model, a layer or a fact is none that this method can be asked of.
    """
    place = place_of(workshop.model, workshop.options.layer)
    check_editable(workshop.model, place)
    return _MAKERS[workshop.options.method](workshop, facts, place)


def _rome(workshop: Workshop, facts: Sequence[Fact], place: int) -> Edit:
    """One change of rank one for each fact, each made on the model with those before it."""
    model, moments = workshop.model, workshop.moments([place])[place].ready
    lefts, rights, wanted = [], [], []
    with ExitStack() as stack:
        for fact in facts:
            rows = workshop.rows(fact)
            key = workshop.key(place, rows)
            size = float(workshop.output(place, key).norm())
            found = wanted_change(model, place, rows, workshop.kept(fact), size, workshop.options, workshop.on_step)
            left, right = low_rank_update(moments, key[:, None], found.change[None])
            change = _added(left, right)
            stack.enter_context(changed_values(model, {place: change}))
            lefts.append(change.left)
            rights.append(change.right)
            wanted.append(found)
    return Edit({place: Added(torch.cat(lefts, 1), torch.cat(rights))}, tuple(wanted))


def _added(left: Float64[Tensor, "cells n"], right: Float64[Tensor, "n d_model"]) -> Added:
    """A change of low rank as it is kept: both halves of a direction are about as long, so that float32 holds them well."""
    ratio = (right.norm(dim=1) / left.norm(dim=0).clamp(min=1e-300)).sqrt().clamp(min=1e-12)
    return Added((left * ratio).float(), (right / ratio[:, None]).float())


def _memit(workshop: Workshop, facts: Sequence[Fact], place: int) -> Edit:
    """All facts at once: what the last layer is to add is spread over the layers up to it, from the lowest on."""
    model, options = workshop.model, workshop.options
    places = list(range(max(0, place - options.spread + 1), place + 1))
    for one in places:
        check_editable(model, one)
    is_stream = len(places) > 1
    if is_stream:
        check_spreadable(model, places)
    rows = [workshop.rows(fact) for fact in facts]
    targets: list[Tensor] = []
    wanted: list[Wanted] = []
    for fact, own in zip(facts, rows, strict=True):
        size = float(_reached(workshop, place, own, is_stream).norm())
        found = wanted_change(model, place, own, workshop.kept(fact), size, options, workshop.on_step)
        wanted.append(found)
        targets.append(_reached(workshop, place, own, is_stream) + found.change)
    moments = workshop.moments(places)
    changes: dict[int, Change] = {}
    with ExitStack() as stack:
        for number, one in enumerate(places):
            keys = torch.stack([workshop.key(one, own) for own in rows], 1)
            now = torch.stack([_reached(workshop, place, own, is_stream) for own in rows])
            missing = (torch.stack(targets) - now) / (len(places) - number)
            change = _added(*low_rank_update(moments[one].ready, keys, missing, options.weight))
            changes[one] = change
            stack.enter_context(changed_values(model, {one: change}))
    return Edit(changes, tuple(wanted))


def _reached(workshop: Workshop, place: int, rows: Sequence[Asked], is_stream: bool) -> Float64[Tensor, "d_model"]:
    """What a change is a change of: the stream behind a layer, where lower layers have a part in it; else its own output."""
    if is_stream:
        return _streams(workshop.model, place, rows)
    return workshop.output(place, workshop.key(place, rows))


def check_spreadable(model: Transformer, places: Sequence[int]) -> None:
    """Refuse layers of which one's output does not reach the next ones as it is.

    Raises:
        InputError: a norm or a factor stands between.
    """
    for place in places:
        layout = model.layout(place)
        if layout.placement in ("post", "sandwich", "shared") or layout.update_scale != 1 or layout.residual_scale != 1:
            raise InputError(
                f"what {model.cells.layers[place].name} of {model.facts.name} adds passes a norm or a factor on its way up, so "
                "that a change cannot be spread over layers",
                "Expected layers whose outputs are added to the stream as they are; or one layer",
                "Write --spread 1, or --method rome",
            )


def _streams(model: Transformer, place: int, rows: Sequence[Asked]) -> Float64[Tensor, "d_model"]:
    """The mean of the stream behind a layer at the keys of the rows."""
    found = torch.zeros(model.facts.d_model, dtype=torch.float64)
    for some, ids, mask in batches(model, rows):
        seen: list[Tensor] = []

        def keep(_: Any, __: Any, output: Any, seen: list[Tensor] = seen) -> None:
            seen[:] = [output if isinstance(output, Tensor) else output[0]]

        handle = model.layer(place).module.register_forward_hook(keep)
        try:
            with torch.no_grad():
                model.forward(ids, mask)
        finally:
            handle.remove()
        states = seen[0].reshape(len(some), -1, model.facts.d_model)
        found += states[range(len(some)), [rows[number].key for number in some]].double().sum(0).cpu()
    return found / len(rows)


def _tune(workshop: Workshop, facts: Sequence[Fact], place: int) -> Edit:
    """Values follow the gradient of ln P(new), none of their numbers by more than the bound (Zhu et al. 2020)."""
    model, options = workshop.model, workshop.options
    rows = [asked(model, fact.prompt, fact.new, fact.subject) for fact in facts]
    n_cells = model.cells.layers[place].n_cells
    moved = torch.zeros(n_cells, model.facts.d_model, device=model.device, requires_grad=True)
    bound = options.bound * float(model.values(place).detach().double().square().mean().sqrt())
    optimiser = torch.optim.Adam([moved], lr=bound / 2)

    def add(m: Float[Tensor, "batch positions cells"]) -> Float[Tensor, "batch positions d_model"]:
        return m.detach().float() @ moved

    for number in range(options.steps):
        optimiser.zero_grad()
        total = 0.0
        for some, ids, mask in batches(model, rows):
            own = [rows[one] for one in some]
            with added_to_output(model, place, add):
                loss = -answer_scores(own_logits(model, ids, mask), own).sum() / len(rows)
            torch.autograd.backward(loss)
            total += float(loss.detach())
        workshop.on_step(number)
        if total < _SURE:
            break
        optimiser.step()
        with torch.no_grad():
            moved.clamp_(-bound, bound)
    changed = (model.values(place).detach().double() + moved.detach().double()).float().cpu()
    touched = moved.detach().any(1).nonzero().squeeze(1).cpu()
    return Edit({place: Replaced(touched, changed[touched].clone())})


def _knowledge(workshop: Workshop, facts: Sequence[Fact], _: int) -> Edit:
    """The values of the cells that a fact goes through move from the old answer to the new (Dai et al. 2022)."""
    model, options = workshop.model, workshop.options
    moved: dict[int, dict[int, Tensor]] = {}
    names: list[str] = []
    for fact in facts:
        check_old(fact)
        prompts = [fact.prompt, *fact.paraphrases]
        old = [asked(model, prompt, fact.old) for prompt in prompts]
        new = asked(model, fact.prompt, fact.new)
        direction = _row(model, new.targets[0]) - _row(model, old[0].targets[0])
        for place, row in knowledge_cells(model, old, options):
            check_editable(model, place)
            own = moved.setdefault(place, {})
            own[row] = own.get(row, model.values(place)[row].detach().float().cpu()) + options.scale * direction
            names.append(str(model.cells.cell_id(place, row)))
    changes = {
        place: Replaced(torch.tensor(sorted(rows)), torch.stack([rows[row] for row in sorted(rows)]))
        for place, rows in sorted(moved.items())
    }
    return Edit(dict(changes), cells=tuple(names))


def check_old(fact: Fact) -> None:
    """Refuse a fact whose old answer is not said, where the method moves values away from it."""
    if not fact.old:
        raise InputError(
            f"the fact {fact.prompt!r} has no old answer", "Expected what the model says now", "Write --old ANSWER"
        )


def _row(model: Transformer, token: int) -> Float[Tensor, "d_model"]:
    """The row of the unembedding of a token."""
    if "raw" not in model.facts.projections:
        raise InputError(
            f"{model.facts.name} gives no raw scores, so that no direction of a value stands for one token",
            "Expected a model whose vocabulary is as wide as its stream",
            "Write --method rome, memit or tune",
        )
    return model.projection_matrix("raw")[token].detach().float().cpu()


def _by_hand(workshop: Workshop, _: Sequence[Fact], __: int) -> Edit:
    """One value, so that its cell promotes a token."""
    model, options = workshop.model, workshop.options
    assert options.cell is not None and options.promote is not None  # its options have been checked
    cell = model.cells.parse(options.cell)
    place, row = model.cells.place(cell)
    value = promoting(model, place, row, one_token(model, options.promote), options.by)
    return Edit({place: Replaced(torch.tensor([row]), value[None])}, cells=(str(cell),))


def promoting(model: Transformer, place: int, row: int, token: int, by: float) -> Float[Tensor, "d_model"]:
    """The value of a cell with so much added along a token's direction that its raw score for the token rises by ``by``.

    Args:
        model: with a vocabulary as wide as its stream.
        place: of the layer.
        row: of the cell.
        token: what is promoted; ``by`` below 0 suppresses it.
        by: what one unit of the coefficient adds to the score more than before.

    Raises:
        InputError: the layer's values cannot be changed.
    """
    check_editable(model, place)
    direction = _row(model, token).double()
    value = model.values(place)[row].detach().double().cpu()
    return (value + by * direction / (direction @ direction)).float()


_MAKERS: dict[str, Callable[[Workshop, Sequence[Fact], int], Edit]] = {
    "rome": _rome,
    "memit": _memit,
    "tune": _tune,
    "knowledge": _knowledge,
    "cell": _by_hand,
}

"""How memories make a layer's output, and layers a prediction: Geva et al. 2021, section 5 (Figures 7 to 11)."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ffmem.analyses.contributors import (
    EFFECTIVE,
    KINDS,
    Kind,
    Masks,
    Others,
    agreeing,
    by_chance,
    contributors,
    measure_others,
)
from ffmem.analyses.prefixes import Pass, Prefixes, passes, rows_of
from ffmem.analyses.values import first_of_largest, rank_of
from ffmem.models.tracing import LayerTrace, trace
from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import Scores
from ffmem.options import Bos
from ffmem.store.facts import Projection
from ffmem.store.reader import Index

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
"""Of box plots."""
_AT_A_TIME = 64
"""Prefixes whose scores over the vocabulary are held."""
Case = Literal["agreement", "residual", "ffn", "composition"]
CASES: tuple[Case, ...] = ("agreement", "residual", "ffn", "composition")
"""O = R and O = Y; O = R != Y; O = Y != R; O is neither (Figure 11)."""


_PULLS = tuple(f"{kind}_pull" for kind in KINDS)


def _no_others() -> np.ndarray:
    """Of what was measured before their part was kept."""
    return np.empty(0)


@dataclass(frozen=True)
class Refinement:
    """What happens at the last token of each prefix, layer by layer. Axes: prefixes, layers.

    R, Y, O are the top tokens of r (the stream before the feed-forward layer), y (what the layer adds) and o (their sum);
    w is that of the last layer's o: the model's own prediction. Of equal scores the smallest id is the top.
    """

    residual_top: Int[np.ndarray, "n layers"]
    """R."""
    ff_top: Int[np.ndarray, "n layers"]
    """Y."""
    output_top: Int[np.ndarray, "n layers"]
    """O."""
    residual_log_probability: Float[np.ndarray, "n layers"]
    """Natural logarithm of the probability of w under r (Figure 10)."""
    residual_rank: Int[np.ndarray, "n layers"]
    """Rank of w under r, from 0."""
    n_active: Int[np.ndarray, "n layers"]
    """Cells with a coefficient above 0 (Figure 7)."""
    n_effective: Int[np.ndarray, "n layers"]
    """Cells whose |m| x length of v is more than `EFFECTIVE` of the largest."""
    participation: Float[np.ndarray, "n layers"]
    """(sum c)^2 / sum c^2 for c = |m| x length of v: as many equal contributions would be as concentrated."""
    softmax_participation: Float[np.ndarray, "n layers"]
    """1 / sum p^2 for p = softmax of the keys' scores: how many memories would take part if a softmax stood in the place of the
    activation (Sukhbaatar et al. 2015), as in attention. NaN for mixtures of experts."""
    active_agrees: Bool[np.ndarray, "n layers"]
    """Whether a cell that adds its value has Y as its value's top (of -v for coefficients below 0 of gated cells)."""
    any_agrees: Bool[np.ndarray, "n layers"]
    """The same of any cell of the layer, whatever its coefficient."""
    active_agrees_output: Bool[np.ndarray, "n layers"]
    """As `active_agrees` with O in place of Y: what the official code computes."""
    effective_agrees: Bool[np.ndarray, "n layers"]
    """As `active_agrees`, of effective cells alone: see `contributors.KINDS`."""
    ten_strongest_agrees: Bool[np.ndarray, "n layers"]
    """Of the ten that add most."""
    strongest_agrees: Bool[np.ndarray, "n layers"]
    """Of the one that adds most."""
    active_chance: Float[np.ndarray, "n layers"]
    """Share of prefixes of other documents at which an active cell of the layer has this Y: `active_agrees` by chance. NaN if
    there is no other document."""
    effective_chance: Float[np.ndarray, "n layers"]
    ten_strongest_chance: Float[np.ndarray, "n layers"]
    strongest_chance: Float[np.ndarray, "n layers"]
    """The same of the other kinds."""
    last_scores: Float[np.ndarray, "n 3 2"]
    """In the last layer, scores under r, y and o of R and of O."""
    last_ranks: Int[np.ndarray, "n 3 2"]
    """Their ranks there, from 0."""
    document: Int[np.ndarray, "n"]
    """That each prefix is of."""
    other_document: Int[np.ndarray, "others"] = field(default_factory=_no_others)
    """Of the prefixes that chance is taken from; once for each part that was measured by itself."""
    active_pull: Float[np.ndarray, "others layers"] = field(default_factory=_no_others)
    """By how much each of them lifts the sum of `active_chance` over prefixes: see `contributors.Chance`."""
    effective_pull: Float[np.ndarray, "others layers"] = field(default_factory=_no_others)
    ten_strongest_pull: Float[np.ndarray, "others layers"] = field(default_factory=_no_others)
    strongest_pull: Float[np.ndarray, "others layers"] = field(default_factory=_no_others)
    """The same of the other kinds."""

    def agrees(self, kind: Kind) -> Bool[np.ndarray, "n layers"]:
        """Whether a cell of a kind has Y as its top."""
        flags: np.ndarray = getattr(self, f"{kind}_agrees")
        return flags

    def chance(self, kind: Kind) -> Float[np.ndarray, "n layers"]:
        """The share of other documents' prefixes at which one has."""
        shares: np.ndarray = getattr(self, f"{kind}_chance")
        return shares

    def pull(self, kind: Kind) -> Float[np.ndarray, "others layers"]:
        """By how much each prefix that chance is taken from lifts the sum of `chance`."""
        lifts: np.ndarray = getattr(self, f"{kind}_pull")
        return lifts

    @property
    def prediction(self) -> Int[np.ndarray, "n"]:
        """The token w."""
        found: np.ndarray = self.output_top[:, -1]
        return found

    @property
    def cases(self) -> Int[np.ndarray, "n layers"]:
        """Number of the case in `CASES`."""
        keeps, takes = self.output_top == self.residual_top, self.output_top == self.ff_top
        return np.where(keeps & takes, 0, np.where(keeps, 1, np.where(takes, 2, 3)))

    @property
    def violations(self) -> Bool[np.ndarray, "n layers"]:
        """R = Y, and O is another: impossible where scores are linear and have no constant."""
        found: np.ndarray = (self.residual_top == self.ff_top) & (self.output_top != self.residual_top)
        return found

    @property
    def saturation_layer(self) -> Int[np.ndarray, "n"]:
        """The first layer from which on O stays w (Geva et al. 2022)."""
        same = self.output_top == self.prediction[:, None]
        stays = np.logical_and.accumulate(same[:, ::-1], axis=1)[:, ::-1]
        found: np.ndarray = stays.argmax(1)
        return found


@dataclass(frozen=True)
class Projections:
    """How vectors are read as scores over the vocabulary."""

    states: Projection
    """Of r and o; the one that makes the top of the last o the model's own prediction."""
    contributions: Projection
    """Of y and of values."""


def own_projections(model: Transformer, values: Projection) -> Projections:
    """The projections of a model's states, and of contributions as its values are read."""
    return Projections(model.unembedding.own_projection, values)


def measure_refinement(
    index: Index,
    model: Transformer,
    prefixes: Prefixes,
    projections: Projections,
    *,
    bos: Bos,
    others: Others | None = None,
    on_pass: Callable[[int], None] = lambda _: None,
) -> Refinement:
    """What happens at each prefix.

    Args:
        index: an index of the model, for the top tokens of its values; its projection must be that of contributions.
        model: the model.
        prefixes: of held-out text.
        projections: how vectors are read.
        bos: special tokens, as in the index.
        others: what chance is taken from, if these prefixes are a part of those that are looked at; by default they are all.
        on_pass: called with the number of prefixes that a pass of the model has brought.

    Raises:
        InputError: the index does not have all cells of the model.

    Cost: a forward pass of each sentence; three products with the vocabulary a layer and prefix; memory of the states and
        coefficients of a pass of `prefixes.BATCH_TOKENS` positions.
    """
    index.check_whole("the study of how layers refine a prediction")
    tops = [_value_tops(index, model, layer) for layer in range(index.n_layers)]
    lengths = value_lengths(model)
    others = others or measure_others(model, prefixes, lengths, bos=bos)
    reading = _Reading(
        model,
        projections.states,
        model.scores(projections.contributions),
        tops,
        lengths,
        others,
    )
    documents = prefixes.document[prefixes.sentence]
    parts, order = [], []
    for one in passes(model, prefixes.sentences, bos, device=str(lengths[0].device)):
        some = rows_of(prefixes, one)
        if len(some[0]):
            with torch.inference_mode():
                parts.append(_one_pass(reading, one, some, torch.from_numpy(documents[some[0]])))
            order.append(some[0])
            on_pass(len(some[0]))
    back = np.argsort(np.concatenate(order))
    pulls = {name: np.sum([part.pop(name) for part in parts], axis=0) for name in _PULLS}
    columns = {name: np.concatenate([part[name] for part in parts])[back] for name in parts[0]}
    return Refinement(**columns, document=documents, other_document=others.documents.numpy(), **pulls)


def value_lengths(model: Transformer) -> list[Float[Tensor, "cells"]]:
    """The length of each value, as it reaches the stream; of each layer."""
    return [model.value_rows(layer).norm(dim=1) for layer in range(model.facts.n_layers)]


@dataclass(frozen=True)
class _Reading:
    """What states are read by."""

    model: Transformer
    states_by: Projection
    of_contributions: Scores
    tops: list[Tensor]
    lengths: list[Tensor]
    others: Others


def _value_tops(index: Index, model: Transformer, layer: int) -> Int[Tensor, "signs cells"]:
    """The top token of each value, and of its negative."""
    arrays = index.layer(layer)
    both = (arrays.promoted_ids[:, 0], arrays.suppressed_ids[:, 0])
    return torch.from_numpy(np.stack(both).astype(np.int64)).to(model.values(layer).device)


def _one_pass(
    reading: _Reading, one: Pass, some: tuple[np.ndarray, Tensor, Tensor], documents: Int[Tensor, "n"]
) -> dict[str, np.ndarray]:
    _, rows, columns = some
    states = [
        {field.name: getattr(layer, field.name)[0] for field in fields(LayerTrace)}
        for layer in trace(reading.model, one.token_ids, one.attention_mask, at=(rows, columns))
    ]
    parts = [
        _read(
            reading,
            [{name: state[first : first + _AT_A_TIME] for name, state in layer.items()} for layer in states],
            documents[first : first + _AT_A_TIME],
        )
        for first in range(0, len(rows), _AT_A_TIME)
    ]
    pulls = {name: np.sum([part.pop(name) for part in parts], axis=0) for name in _PULLS}
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} | pulls


def _read(reading: _Reading, states: list[dict[str, Tensor]], documents: Int[Tensor, "n"]) -> dict[str, np.ndarray]:
    """The fields of Refinement, of the states of some places in each layer."""
    model, n = reading.model, len(states[0]["residual"])

    def before_and_after(state: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Scores under r and o, by one product."""
        both = model.project(torch.cat([state["residual"], state["layer_output"]]), reading.states_by).float()
        return both[:n], both[n:]

    final = before_and_after(states[-1])
    prediction, _ = first_of_largest(final[1])
    of_ff = states[-1]["layer_output"].new_empty(n, model.facts.d_vocab, dtype=torch.float32)
    by_layer: dict[str, list[Tensor]] = {}
    for place, state in enumerate(states):
        reading.of_contributions(state["ff_update"].float(), of_ff)
        of_residual, of_output = final if place == len(states) - 1 else before_and_after(state)
        scores = (of_residual, of_ff, of_output)
        tokens = [first_of_largest(one)[0] for one in scores]
        found = {
            "residual_top": tokens[0],
            "ff_top": tokens[1],
            "output_top": tokens[2],
            "residual_log_probability": scores[0].log_softmax(1).gather(1, prediction[:, None])[:, 0],
            "residual_rank": rank_of(scores[0], prediction),
            **_activity(state["coefficients"].float(), reading.lengths[place]),
            "softmax_participation": _softmax_participation(model, place, state["ff_input"]),
            **_agreeing(reading, place, state["coefficients"].float(), (tokens[1], tokens[2]), documents),
        }
        for name, values in found.items():
            by_layer.setdefault(name, []).append(values)
    compared = (tokens[0], tokens[2])  # of the last layer
    last_scores = [torch.stack([one.gather(1, ids[:, None])[:, 0] for ids in compared], 1) for one in scores]
    last_ranks = [torch.stack([rank_of(one, ids) for ids in compared], 1) for one in scores]
    stacked = {name: torch.stack(values, 1) for name, values in by_layer.items()}
    stacked |= {"last_scores": torch.stack(last_scores, 1), "last_ranks": torch.stack(last_ranks, 1)}
    return {name: values.cpu().numpy() for name, values in stacked.items()}


def _activity(m: Float[Tensor, "n cells"], lengths: Float[Tensor, "cells"]) -> dict[str, Tensor]:
    sizes = m.abs() * lengths
    total, squares = sizes.sum(1), sizes.square().sum(1)
    return {
        "n_active": (m > 0).sum(1),
        "n_effective": (sizes > EFFECTIVE * sizes.amax(1, keepdim=True)).sum(1),
        "participation": torch.where(squares > 0, total.square() / squares, 0.0),
    }


def _softmax_participation(model: Transformer, layer: int, ff_input: Float[Tensor, "n d_model"]) -> Float[Tensor, "n"]:
    if model.cells.layers[layer].n_experts:
        return ff_input.new_full((len(ff_input),), torch.nan)
    scores = ff_input @ (model.gate_keys(layer) if model.facts.gated else model.keys(layer)).T
    bias = model.key_bias(layer)
    p = (scores if bias is None else scores + bias).float().softmax(-1)
    return 1 / p.square().sum(1)


def _agreeing(
    reading: _Reading,
    place: int,
    m: Float[Tensor, "n cells"],
    of: tuple[Int[Tensor, "n"], Int[Tensor, "n"]],
    documents: Int[Tensor, "n"],
) -> dict[str, Tensor]:
    """Whether cells agree with Y, and with O, here and by chance."""
    ff_top, output_top = of
    tops, gated = reading.tops[place], reading.model.facts.gated
    masks: Masks = contributors(m, reading.lengths[place], gated=gated)
    here, chance = agreeing(masks, tops, ff_top), by_chance(reading.others, place, tops, ff_top, documents)
    return {
        **{f"{kind}_agrees": here[kind] for kind in KINDS},
        **{f"{kind}_chance": chance[kind].share for kind in KINDS},
        **{f"{kind}_pull": chance[kind].pull for kind in KINDS},
        "active_agrees_output": agreeing(masks, tops, output_top, ("active",))["active"],
        "any_agrees": torch.isin(ff_top, tops if gated else tops[:1]),
    }

"""What values say against what follows the triggers of their keys: Geva et al. 2021, section 4 (Figures 4 to 6, Table 2)."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.models.transformer import Transformer
from ffmem.models.unembedding import Scores
from ffmem.store.facts import Projection
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

_BLOCK = 2**23
"""Scores that are held at a time."""
_CACHED = 2**18
"""Scores that are described together: they stay in a processor's cache while they are looked at several times."""
NONE = -1
"""Instead of a token where there is none."""


@dataclass(frozen=True)
class Targets:
    """What stands at and after the triggers of a layer's cells. Signs: positive; for gated cells negative, too."""

    following: Int[np.ndarray, "cells signs"]
    """w: the token after the best trigger that has one; NONE for a cell without any."""
    following_best: Int[np.ndarray, "cells signs"]
    """The token after the best trigger, whether it has one or not: NONE where the trigger ends its sentence, too."""
    firing: Int[np.ndarray, "cells signs"]
    """The token that the best trigger ends with; NONE for a cell without a trigger."""
    document: Int[np.ndarray, "cells signs"]
    """That the trigger is from which stands for the cell: the best that has a next token, else the best; NONE without one."""
    n_passed_over: Int[np.ndarray, "cells signs"]
    """Triggers above it that end their sentence, so that nothing follows."""
    n_triggers: Int[np.ndarray, "cells signs"]
    all_following: Int[np.ndarray, "cells signs top"]
    """The token after each trigger; NONE where there is none."""


@dataclass(frozen=True)
class ValueScores:
    """The value distributions p = softmax(projection of v) of a layer's cells; of -v for the negative sign."""

    top: Int[np.ndarray, "cells signs"]
    """argmax p, the smallest id of equals."""
    top_log_probability: Float[np.ndarray, "cells signs"]
    """Natural logarithm of max p."""
    following_rank: Int[np.ndarray, "cells signs"]
    """Rank of the following token in p, from 0, equals by id; NONE without one."""
    following_log_probability: Float[np.ndarray, "cells signs"]
    """NaN without one."""
    firing_rank: Int[np.ndarray, "cells signs"]
    """Rank of the firing token."""
    unit_log_probability: Float[np.ndarray, "cells signs"]
    """As top_log_probability, of the value brought to a length that all values share: how a model divides scale between key
    and value has no part in it."""


def targets(index: Index, layer: int) -> Targets:
    """The tokens that the values of a layer are compared with.

    Cost: a few arrays of the size of the layer's trigger list.
    """
    tokens = index.layer(layer).trigger_token
    real = tokens != NO_TOKEN
    places = np.where(real, tokens, 0).astype(np.int64)
    flat = places.reshape(-1)
    following = np.where(real, index.text.following(flat).reshape(places.shape), NONE)
    has_next = following != NONE
    first = has_next.argmax(-1)[..., None]
    found = has_next.any(-1)
    firing = index.text.token_id[places[..., 0]].astype(np.int64)
    stands = np.take_along_axis(places, first, -1)[..., 0]
    sentences = np.searchsorted(index.text.sentence_start, stands.reshape(-1), side="right") - 1
    documents = index.text.document_of(sentences).reshape(stands.shape)
    fired = real[..., 0]
    return Targets(
        following=np.take_along_axis(following, first, -1)[..., 0],
        following_best=following[..., 0],
        firing=np.where(fired, firing, NONE),
        document=np.where(fired, documents, NONE),
        n_passed_over=np.where(found, first[..., 0], 0),
        n_triggers=real.sum(-1),
        all_following=following,
    )


def score_values(model: Transformer, layer: int, projection: Projection, wanted: Targets, length: float) -> ValueScores:
    """The value distributions of a layer against its targets.

    Args:
        model: the model of the index.
        layer: place of the layer.
        projection: any that the model has; "final-norm" takes a value for a state, so that its length is lost.
        wanted: what `targets` gave.
        length: the length that `ValueScores.unit_log_probability` brings values to: see `median_length`.

    Cost: one product of each value with the vocabulary (two for each sign where scores are not linear); memory of some ten
        million scores, whatever the size of the model.
    """
    rows, score = model.value_rows(layer), _scores(model, projection)
    linear = projection in ("raw", "folded")  # under others the scores of a longer value are no multiples
    factors = length / rows.norm(dim=1).clamp(min=torch.finfo(rows.dtype).tiny)
    n_block, n_cached = (max(1, size // model.facts.d_vocab) for size in (_BLOCK, _CACHED))
    signs = (1, -1)[: wanted.following.shape[1]]
    parts: list[list[tuple[np.ndarray, ...]]] = [[] for _ in signs]
    buffers = rows.new_empty(2, min(n_block, len(rows)), model.facts.d_vocab)
    for first in range(0, len(rows), n_block):
        block = rows[first : first + n_block]
        scores, scaled = buffers[:, : len(block)]
        for axis, sign in enumerate(signs):
            if axis == 0 or not linear:
                score(sign * block, scores)
            if projection == "adaptive":
                score(sign * block * factors[first : first + n_block, None], scaled)
            for low in range(0, len(block), n_cached):
                some = slice(first + low, first + min(low + n_cached, len(block)))
                near, again = (one[low : low + n_cached] for one in (scores, scaled))
                if axis and linear:
                    near.neg_()
                described = _describe(near, wanted.following[some, axis], wanted.firing[some, axis])
                if projection == "final-norm":  # in which lengths have no part, but for the norm's epsilon
                    unit = described[1]
                else:
                    if linear:
                        torch.mul(near, factors[some, None], out=again)
                    unit = again.log_softmax(1).amax(1).cpu().numpy()
                parts[axis].append((*described, unit))
    columns = [[np.concatenate(column) for column in zip(*sign, strict=True)] for sign in parts]
    return ValueScores(*(np.stack(column, axis=1) for column in zip(*columns, strict=True)))


def _scores(model: Transformer, projection: Projection) -> Scores:
    if projection != "final-norm":
        return model.scores(projection)

    def write(rows: Float[Tensor, "rows d_model"], out: Float[Tensor, "rows d_vocab"]) -> None:
        out.copy_(model.project(rows.to(model.module.dtype), projection))

    return write


def median_length(model: Transformer) -> float:
    """The median length of all values of a model, as they reach the stream."""
    return float(torch.cat([model.value_rows(layer).norm(dim=1) for layer in range(model.facts.n_layers)]).median())


def _describe(
    scores: Float[Tensor, "rows d_vocab"], following: np.ndarray, firing: np.ndarray
) -> tuple[np.ndarray, ...]:
    """The fields of ValueScores but the last for some rows of one sign."""
    log_p = scores.log_softmax(1)
    top, _ = first_of_largest(scores)
    ids = [torch.from_numpy(np.ascontiguousarray(one)).to(scores.device) for one in (following, firing)]
    ranks = [torch.where(one == NONE, NONE, rank_of(scores, one.clamp(min=0))) for one in ids]
    own = log_p.gather(1, ids[0].clamp(min=0)[:, None])[:, 0]
    own = torch.where(ids[0] == NONE, torch.nan, own)
    best = log_p.gather(1, top[:, None])[:, 0]
    return tuple(one.cpu().numpy() for one in (top, best, ranks[0], own, ranks[1]))


def first_of_largest(scores: Float[Tensor, "rows d_vocab"]) -> tuple[Int[Tensor, "rows"], Float[Tensor, "rows"]]:
    """Smallest id that has the largest score of each row, and that score, on any device."""
    if scores.device.type == "cpu":  # numpy gives the first of equals, and is many times faster here
        top = torch.from_numpy(scores.numpy().argmax(1))
        return top, scores.gather(1, top[:, None])[:, 0]
    best, top = scores.max(1)
    tied = (scores == best[:, None]).sum(1) > 1
    for row in tied.nonzero().squeeze(1).tolist():
        top[row] = (scores[row] == best[row]).nonzero()[0, 0]
    return top, best


def rank_of(scores: Float[Tensor, "rows d_vocab"], ids: Int[Tensor, "rows"]) -> Int[Tensor, "rows"]:
    """Rank of one id in each row, from 0: how many scores are larger, or equal with a smaller id. 0 exactly for the top."""
    if scores.device.type == "cpu":
        rows = zip(scores.numpy(), ids.tolist(), strict=True)
        found = [np.count_nonzero(row > row[i]) + np.count_nonzero(row[:i] == row[i]) for row, i in rows]
        return torch.tensor(found, dtype=torch.long)
    own = scores.gather(1, ids[:, None])
    ranks = (scores > own).sum(1)
    tied = (scores == own).sum(1) > 1
    for row in tied.nonzero().squeeze(1).tolist():
        ranks[row] += (scores[row, : ids[row]] == own[row]).sum()
    return ranks


def unigram_counts(index: Index) -> Int[np.ndarray, "d_vocab"]:
    """How often each token follows another within an indexed sentence: what following tokens are drawn from.

    Sentences that occur several times count once, as they do among triggers.
    """
    text = index.text
    end = int(text.sentence_start[text.n_sentences])
    counted: np.ndarray = np.bincount(text.token_id[1:end], minlength=index.manifest.model.d_vocab)
    starts = text.sentence_start[1 : text.n_sentences].astype(np.int64)
    first = np.bincount(text.token_id[starts], minlength=len(counted))
    return counted - first

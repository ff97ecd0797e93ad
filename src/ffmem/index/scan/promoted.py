"""The tokens at both ends of many values' scores over the vocabulary. Tensors in, tensors out; knows no model.

On a CPU scores under a matrix are those that `shortlist` defines. Elsewhere, and where scores are no products, they are what
the device computes in float32, all of them.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.index.scan.shortlist import Shortlist
from ffmem.models.unembedding import LinearScores
from ffmem.store.keys import join, tokens_of, upper

ScoresOf = Callable[[Float[Tensor, "rows d_model"], Float[Tensor, "rows d_vocab"]], None]
"""Writes the scores of some rows over the vocabulary into a tensor that already exists."""

_ROWS = 256
"""Values scored at a time: 256 x 50,000 scores are 50 MB; larger blocks do not make the product faster."""
_MANY = 2048
"""Values from which on products of bytes make up for the time of copying the matrix into bytes: measured at 7 to 12 times 256
of them. Either way finds the same bits."""
_BLOCK = 64
"""Neighbouring tokens whose best score is compared first."""


@dataclass(frozen=True)
class PromotedTokens:
    """The top tokens at both ends of each value's scores; best first, equal scores by smaller token id."""

    promoted_ids: Int[Tensor, "cells k"]
    promoted_scores: Float[Tensor, "cells k"]
    suppressed_ids: Int[Tensor, "cells k"]
    """Lowest score first."""
    suppressed_scores: Float[Tensor, "cells k"]


def scorer(scores_of: ScoresOf, n_values: int) -> ScoresOf | Shortlist:
    """The fastest way to the tokens at both ends of such scores of so many values, to be made once for all of them."""
    if isinstance(scores_of, LinearScores) and scores_of.matrix.device.type == "cpu":
        return Shortlist(scores_of.matrix, in_bytes=None if n_values >= _MANY else False)
    return scores_of


def promoted_tokens(
    rows: Float[Tensor, "cells d_model"],
    scores_of: ScoresOf | Shortlist,
    d_vocab: int,
    k: int,
    on_rows: Callable[[int], None] = lambda _: None,
) -> PromotedTokens:
    """The k highest and k lowest scores of each row, exactly, with ties by token id.

    Args:
        rows: values (float32).
        scores_of: scores them (float32), or finds the best: see `scorer`. A shortlist that does not cover the rows, since a
            number is not finite or beyond 1e30, gives way to its plain product in float32.
        d_vocab: how many scores a row has.
        k: how many at each end; at most d_vocab are given.
        on_rows: told of each block of rows how many are done.

    Cost: of a shortlist, see there; else the scores and about two more passes over them, 256 rows at a time: never
        cells x d_vocab.
    """
    k = min(k, d_vocab)
    if isinstance(scores_of, Shortlist):
        if scores_of.covers(rows):
            return _of_shortlist(rows, scores_of, k, on_rows)
        scores_of = LinearScores(scores_of.matrix)
    n_blocks = -(-d_vocab // _BLOCK)
    buffer = rows.new_empty(min(_ROWS, len(rows)), n_blocks * _BLOCK)
    parts = []
    for start in range(0, len(rows), _ROWS):
        some = rows[start : start + _ROWS]
        scores = buffer[: len(some)]
        scores_of(some, scores[:, :d_vocab])
        highest, lowest = (_top(scores, d_vocab, k, sign) for sign in (1, -1))
        parts.append((*highest, *lowest))
        on_rows(len(some))
    return PromotedTokens(*(torch.cat(column) for column in zip(*parts, strict=True)))


def _of_shortlist(
    rows: Float[Tensor, "cells d_model"], shortlist: Shortlist, k: int, on_rows: Callable[[int], None]
) -> PromotedTokens:
    parts = []
    for keys in shortlist.best(rows, k):
        parts.append(keys)
        on_rows(keys.shape[1])
    high, low = torch.cat(parts, dim=1) if parts else rows.new_empty((2, 0, k), dtype=torch.int64)
    # 0.0 is added so that no score is -0.0
    return PromotedTokens(tokens_of(high), _scores(high), tokens_of(low), -_scores(low) + 0.0)


def _top(
    scores: Float[Tensor, "rows padded"], d_vocab: int, k: int, sign: int
) -> tuple[Int[Tensor, "rows k"], Float[Tensor, "rows k"]]:
    """Ids and scores of the k largest (sign 1) or smallest (sign -1) of each row; columns past d_vocab do not count.

    The k best lie within the k blocks whose best scores are best (of equals, the block of smaller ids): a token
    outside them has k better ones before it. So one pass for the blocks, then a choice among k x 64 candidates.
    """
    scores[:, d_vocab:] = -sign * torch.inf
    blocks = scores.view(len(scores), -1, _BLOCK)
    extremes = blocks.amax(2) if sign == 1 else -blocks.amin(2)
    n_blocks = extremes.shape[1]
    block_ids = _ids(_largest(_keys(extremes, torch.arange(n_blocks, device=scores.device)), min(k, n_blocks)))
    candidates = blocks[torch.arange(len(scores), device=scores.device)[:, None], block_ids].flatten(1)
    ids = (block_ids[:, :, None] * _BLOCK + torch.arange(_BLOCK, device=scores.device)).flatten(1)
    best_ids = _ids(_largest(_keys(candidates * sign, ids), k).sort(dim=1, descending=True).values)
    return best_ids, scores.gather(1, best_ids)


def _keys(scores: Float[Tensor, "rows n"], ids: Int[Tensor, "*rows n"]) -> Int[Tensor, "rows n"]:
    """int64 keys that order by score, then by smaller id. Bits of negative floats fall as the float rises: turned."""
    bits = (scores + 0.0).view(torch.int32)  # -0.0 becomes 0.0, so that they tie
    ordered = bits ^ ((bits >> 31) & 0x7FFFFFFF)
    return join(ordered.long(), ids)


def _scores(keys: Int[Tensor, "rows n"]) -> Float[Tensor, "rows n"]:
    """The scores in `_keys`."""
    bits = upper(keys).int()
    return (bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(torch.float32)


def _ids(keys: Int[Tensor, "rows n"]) -> Int[Tensor, "rows n"]:
    return tokens_of(keys)


def _largest(keys: Int[Tensor, "rows n"], k: int) -> Int[Tensor, "rows k"]:
    """The k largest of each row, in any order; on a CPU numpy is several times faster than torch."""
    if keys.device.type != "cpu":
        return keys.topk(k, dim=1).values
    return torch.from_numpy(np.partition(keys.numpy(), keys.shape[1] - k, axis=1)[:, keys.shape[1] - k :])

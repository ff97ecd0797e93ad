"""Held-out text as whole inputs, with the columns at which a model is asked for the next token."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.analyses.updates.positions import Positions
from ffmem.models.transformer import Transformer
from ffmem.options import Bos


@dataclass(frozen=True)
class Text:
    """One sentence as a model reads it."""

    ids: Int[Tensor, "positions"]
    """With the special tokens before it."""
    n_before: int
    """How many of them there are."""
    at: Int[Tensor, "n"]
    """Columns whose prediction is looked at."""
    following: Int[Tensor, "n"]
    """The token that follows each."""
    document: int

    def __len__(self) -> int:
        return len(self.at)

    def in_random_order(self, generator: torch.Generator) -> Int[Tensor, "positions"]:
        """The same tokens in random order, behind the same special ones."""
        own = self.ids[self.n_before :]
        order = torch.randperm(len(own), generator=generator)
        return torch.cat([self.ids[: self.n_before], own[order.to(own.device)]])


def texts_of(model: Transformer, positions: Positions, bos: Bos, length: int) -> list[Text]:
    """The sentences that positions are in, cut to a length; positions beyond it are left out.

    Args:
        model: whose special tokens stand before a sentence.
        positions: of held-out text.
        bos: special tokens, as in an index.
        length: most tokens of an input.
    """
    before, _ = model.special_tokens(bos)
    prefixes, found = positions.prefixes, []
    for number, tokens in enumerate(prefixes.sentences):
        some = np.flatnonzero(prefixes.sentence == number)
        at = prefixes.position[some] + len(before)
        some, at = some[at < length], at[at < length]
        ids = np.array([*before, *tokens.tolist()], dtype=np.int64)[:length]
        if len(some) and len(ids) > 1:
            tensors = (torch.from_numpy(one).to(model.device) for one in (ids, at, positions.following[some]))
            row, columns, following = tensors
            found.append(Text(row, len(before), columns, following, int(prefixes.document[number])))
    return found

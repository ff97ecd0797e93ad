"""Pairs of sentences as an encoder-decoder reads them when it is taught: the source, and the reference translation as given."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int64

from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.alignment.words import text_of
from ffmem.models.inputs import longest_input, tokenize
from ffmem.models.transformer import Transformer


@dataclass(frozen=True)
class TaughtPair:
    """The tokens of a pair. The decoder's row t is given the token t of `given_ids`, and predicts the one after it."""

    source_ids: tuple[int, ...]
    """With what the tokenizer puts around a sentence."""
    n_before: int
    """Special tokens before the source's own."""
    n_source: int
    """Own tokens of the source."""
    given_ids: tuple[int, ...]
    """What the decoder is given: its start token, where the model asks for it its first token, and the translation."""
    target_ids: tuple[int, ...]
    """The translation's own tokens."""

    @property
    def first_row(self) -> int:
        """The decoder's row that predicts the first token of the translation; each row after it predicts the next."""
        return len(self.given_ids) - len(self.target_ids) - 1


def teach(model: Transformer, pair: Pair) -> TaughtPair | None:
    """The tokens of a pair; None if a side has none, or more than the model's context holds.

    Args:
        model: an encoder-decoder.
        pair: the words.
    """
    source, target = (tokenize(model, text_of(side)).ids for side in (pair.source, pair.target))
    before, after = model.special_tokens("auto")
    config, generation = model.module.config, getattr(model.module, "generation_config", None)
    forced = getattr(generation, "forced_bos_token_id", None)  # a language's token, or the one that begins every text
    given = (config.decoder_start_token_id, *(() if forced is None else (forced,)), *target)
    longest = longest_input(model)
    if not source or not target or len(before) + len(source) + len(after) > longest or len(given) > longest:
        return None
    return TaughtPair((*before, *source, *after), len(before), len(source), given, target)


def token_counts(model: Transformer, pairs: Sequence[Pair]) -> Int64[np.ndarray, "d_vocab"]:
    """How often each token stands in the translations of some pairs."""
    found = np.zeros(model.facts.d_vocab, dtype=np.int64)
    for pair in pairs:
        np.add.at(found, np.array(tokenize(model, text_of(pair.target)).ids, dtype=np.int64), 1)
    return found

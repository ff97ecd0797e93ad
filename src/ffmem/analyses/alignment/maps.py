"""From maps between words to links."""

import numpy as np
from jaxtyping import Bool, Float, Int16, Int64

from ffmem.analyses.alignment.links import Link

NO_LINK = -1
"""In the place of the source word of a target word that has no link."""


def best_sources(
    maps: Float[np.ndarray, "*maps words columns"],
    source_words: Int64[np.ndarray, " tokens"],
    has_row: Bool[np.ndarray, " words"],
    n_source: int,
) -> Int16[np.ndarray, "*maps words"]:
    """The source word of each target word: the largest entry of its row, the first of equal ones.

    A target word has no link where the largest entry is not a word's but that of a token that was put around the source,
    such as </s>, and where the tokenizer left nothing of it.

    Args:
        maps: as `words.merge` gives them, columns that are no words last.
        source_words: the word of each source token; a word without a token never wins.
        has_row: whether a target word has a token.
        n_source: words of the source.
    """
    present = np.isin(np.arange(n_source), source_words)
    allowed = np.concatenate((present, np.ones(maps.shape[-1] - n_source, dtype=bool)))
    best = np.where(allowed, maps, -np.inf).argmax(-1)
    return np.where((best < n_source) & has_row, best, NO_LINK).astype(np.int16)


def links_of(sources: Int16[np.ndarray, " words"]) -> frozenset[Link]:
    """Links of a row of `best_sources`."""
    return frozenset((int(source), target) for target, source in enumerate(sources) if source != NO_LINK)

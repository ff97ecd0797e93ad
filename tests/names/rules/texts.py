"""A text of few words, drawn at random, and units that fire in it."""

import numpy as np

from ffmem.names.rules.firing import Firing
from ffmem.names.rules.text import Text


def made_text(n_sentences: int = 60, n_words: int = 12) -> Text:
    """Its words are numbers; the first position of a sentence never competes."""
    rng = np.random.default_rng(1)
    lengths = rng.integers(1, 25, n_sentences)
    n = int(lengths.sum())
    sentence = np.repeat(np.arange(n_sentences), lengths)
    within = np.concatenate([np.arange(one) for one in lengths])
    return Text(
        token=rng.integers(0, n_words, n).astype(np.int32),
        token_ids=np.arange(n_words),
        strings=tuple(map(str, range(n_words))),
        within=within,
        sentence=sentence,
        document=sentence // 4,
        competes=within >= 1,
        quarter=(np.arange(n_sentences // 4 + 1) % 4).astype(np.uint8),
        document_ids=np.arange(n_sentences // 4 + 1),
    )


def fired(text: Text, fires: np.ndarray, half: int, seed: int = 0) -> Firing:
    """Firing positions in a half by a row of marks for each unit, with weights and coefficients drawn at random."""
    rng = np.random.default_rng(seed)
    inside = text.quarter_of >> 1 == half
    unit, token = np.nonzero(fires & inside)
    n = len(unit)
    return Firing(len(fires), unit, token, 1 + rng.random(n), 1 + 3 * rng.random(n), float(inside.sum()))

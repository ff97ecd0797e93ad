"""Sequences that a model gives back word for word when it is shown how they begin (Carlini et al. 2021, 2023)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.analyses.memorised.losses import token_losses
from ffmem.analyses.memorised.texts import ReadText
from ffmem.models.transformer import Transformer
from ffmem.options import Bos


@dataclass(frozen=True)
class Sequences:
    """Runs of equal length, each of a text."""

    tokens: Int64[np.ndarray, "runs length"]
    text: Int64[np.ndarray, " runs"]
    """The text that each is of, by its place."""
    start: Int64[np.ndarray, " runs"]
    """Of each in its text, in tokens."""


def draw_sequences(
    texts: Sequence[ReadText],
    length: int,
    n: int,
    *,
    unknown: int | None = None,
    per_text: int = 1,
    seed: int = 0,
) -> Sequences:
    """Runs at random places of texts drawn at random.

    Args:
        texts: to draw from; those that are too short have none.
        length: of each run, in tokens.
        n: how many; fewer come back where there are not as many.
        unknown: a token that stands for many words; a run with it cannot be given back.
        per_text: most runs of one text; they do not overlap.
        seed: of the draw.
    """
    rng = np.random.default_rng([seed, 32])
    found: list[tuple[int, int]] = []
    for text in rng.permutation(len(texts)).tolist():
        if len(found) >= n:
            break
        ids = texts[text].ids
        if len(ids) < length:
            continue
        first = int(rng.integers(0, (len(ids) - length) % length + 1))
        starts = rng.permutation(np.arange(first, len(ids) - length + 1, length)).tolist()
        able = [at for at in starts if unknown is None or unknown not in ids[at : at + length]]
        found += [(text, at) for at in able[:per_text]]
    found = sorted(found[:n])
    tokens = [texts[text].ids[at : at + length] for text, at in found]
    return Sequences(
        np.array(tokens, dtype=np.int64).reshape(len(found), length),
        np.array([text for text, _ in found], dtype=np.int64),
        np.array([at for _, at in found], dtype=np.int64),
    )


def n_given_back(
    model: Transformer,
    sequences: Sequence[Int64[np.ndarray, " length"]],
    prefix: int,
    bos: Bos = "auto",
    on_texts: Callable[[int], None] = lambda _: None,
) -> Int64[np.ndarray, " runs"]:
    """How many tokens after its beginning a model gives back of each run, before the first that is another.

    Greedy decoding goes on from what it has written; up to its first error that is the run itself, so one pass of the run shows
    it, and nothing has to be generated.

    Args:
        model: a causal model.
        sequences: runs of tokens.
        prefix: how many the model is shown.
        bos: special tokens before each.
        on_texts: called with the number of runs that are read.
    """
    found = token_losses(model, sequences, bos, on_texts)
    return np.array([int(one.first[prefix:].cumprod().sum()) for one in found], dtype=np.int64)


def eidetic(extracted: Bool[np.ndarray, " runs"], copies: Int64[np.ndarray, " runs"], most: int) -> int:
    """How many runs are k-eidetic: given back, and in at most so many training documents (and in one at least)."""
    return int((extracted & (copies >= 1) & (copies <= most)).sum())

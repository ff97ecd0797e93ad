"""Scores of a document that are to tell whether a model was trained on it; the higher, the more so."""

import zlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float64

MIN_K = 0.2
"""Share of a document's tokens that min-k looks at: those that the model expects least."""


def membership_scores(
    losses: Float64[np.ndarray, " tokens"],
    kept: Bool[np.ndarray, " tokens"],
    text: str,
    references: Mapping[str, Float64[np.ndarray, " tokens"]],
) -> dict[str, float]:
    """All scores of one document; NaN where no token of it counts.

    Args:
        losses: of the model, in nats a token; NaN where there is none.
        kept: which tokens count.
        text: the document.
        references: losses of other models on the same tokens, by their names.

    Source: loss: Yeom et al. 2018; by zlib and less a reference: Carlini et al. 2021, sections 5.2 and 6.1 (there perplexity;
        the logarithm has the same order); min-k %: Shi et al. 2024.
    """
    own = kept & np.isfinite(losses)
    if not own.any():
        return dict.fromkeys(["loss", "loss by zlib", "min-20 %", *(f"loss - {name}" for name in references)], np.nan)
    loss = float(losses[own].mean())
    found = {"loss": -loss, "loss by zlib": -loss / zlib_bytes(text), "min-20 %": min_k(-losses[own])}
    for name, other in references.items():
        both = own & np.isfinite(other)
        found[f"loss - {name}"] = float((other[both] - losses[both]).mean()) if both.any() else np.nan
    return found


def blind_scores(
    kept: Bool[np.ndarray, " tokens"],
    unknown: Bool[np.ndarray, " tokens"],
    unigram: Float64[np.ndarray, " tokens"],
    bigram: Float64[np.ndarray, " tokens"],
) -> dict[str, float]:
    """What can be said of a document without the model: where that tells members from others, the two are not alike."""
    there = kept if kept.any() else np.ones_like(kept)
    return {
        "length": float(len(kept)),
        "share of unknown or rare tokens": float((unknown | ~kept).mean()) if len(kept) else np.nan,
        "unigram loss": -float(unigram[there].mean()) if len(kept) else np.nan,
        "bigram loss": -float(bigram[there].mean()) if len(kept) else np.nan,
    }


def zlib_bytes(text: str) -> int:
    """How many bytes zlib needs for a text: what a program needs that has read nothing else."""
    return len(zlib.compress(text.encode()))


def min_k(log_p: Float64[np.ndarray, " tokens"], share: float = MIN_K) -> float:
    """The mean of the lowest log-probabilities: of this share of the tokens, one at least."""
    n = max(1, int(len(log_p) * share))
    return float(np.sort(log_p)[:n].mean())

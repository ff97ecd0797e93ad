"""What the rare prefixes are where a memory agrees with its layer: Geva et al. 2021, section 5.1, after Figure 8."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, mean
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.refinement import Refinement

_FUNCTION_WORDS = """
a an the this that these those some any no every each either neither both all such what which whose
i you he she it we they me him her us them my your his its our their mine yours hers ours theirs
myself yourself himself herself itself ourselves themselves who whom one
about above across after against along among around as at before behind below beneath beside between beyond but by
despite down during except for from in inside into like near of off on onto out outside over past per since than
through throughout till to toward towards under until up upon with within without
and or nor so yet if because although though while whereas whether unless when where why how
am is are was were be been being have has had having do does did doing done can could may might must shall should
will would not only very too also just then there here now again more most much many few less least other own same
"""
STOP_WORDS = frozenset(_FUNCTION_WORDS.split())
"""Function words of English. The paper does not say which list it took; this one is ours."""
SHORT = 5
"""Prefixes with fewer tokens are short, as in the paper; a BOS does not count."""


@dataclass(frozen=True)
class Makeup:
    """Shares over pairs of a prefix and a layer, bootstrapped over documents; beside them those of all pairs."""

    n_pairs: int
    """Pairs in which a cell that adds its value has top(y) as its top."""
    stop_word: Estimate
    """Share of them whose top(y) is a function word."""
    mark: Estimate
    """Whose top(y) has no letter: marks, digits, spaces."""
    short_prefix: Estimate
    """Whose prefix is shorter than `SHORT` tokens."""
    stop_word_of_all: Estimate
    mark_of_all: Estimate
    short_prefix_of_all: Estimate


def makeup(found: Refinement, prefixes: Prefixes, vocabulary: Sequence[str], *, seed: int = 0) -> Makeup:
    """What the agreeing cases are, all layers together.

    Args:
        found: what happened at each prefix.
        prefixes: the prefixes.
        vocabulary: each token as text, by id.
        seed: of the bootstraps.
    """
    words = np.array([one.strip().lower() in STOP_WORDS for one in vocabulary])
    marks = np.array([not any(map(str.isalpha, one)) for one in vocabulary])
    tops, agrees = found.ff_top, found.active_agrees
    short = np.broadcast_to((prefixes.position + 1 < SHORT)[:, None], tops.shape)
    document = np.broadcast_to(found.document[:, None], tops.shape)

    def share(flags: np.ndarray, some: np.ndarray) -> Estimate:
        return mean(flags[some], document[some], seed=seed)

    everything = np.ones_like(agrees)
    return Makeup(
        n_pairs=int(agrees.sum()),
        stop_word=share(words[tops], agrees),
        mark=share(marks[tops], agrees),
        short_prefix=share(short, agrees),
        stop_word_of_all=share(words[tops], everything),
        mark_of_all=share(marks[tops], everything),
        short_prefix_of_all=share(short, everything),
    )

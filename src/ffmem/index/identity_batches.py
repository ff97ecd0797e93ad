"""Sentences of a corpus that the identities are measured on, several in a pass where a proof has shown that they may share one.

An identity is about one forward pass, so which sentences share it decides nothing but the time: most of a pass over a short
sentence is reading the weights.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Int64

from ffmem.index.scan.batches import Batch, Run
from ffmem.index.scan.shard_text import ShardText
from ffmem.models.base import Rows
from ffmem.models.identities import Identities, measure_identities
from ffmem.models.transformer import Transformer

N_SENTENCES = 8
"""How many of a corpus the identities are measured on, if it has so many."""
_MAX_TOKENS = 64
"""Own tokens of the longest, where there are shorter ones."""
_NUMBERS = 2**24
"""Of the logits of a pass, and of the coefficients of a layer, where more than one sentence shares it."""
_A_PASS = 32
"""Positions of padding that cost as much as one more pass: about what reading the weights takes on a CPU."""


def draw_sentences(lengths: Int64[np.ndarray, "n_sentences"], longest: int, seed: int) -> list[int]:
    """Sentences to measure on, drawn with a seed, in ascending order.

    Args:
        lengths: own tokens of each sentence of a text.
        longest: own tokens above which a pass is much work: longer ones are taken only where too few are shorter.
        seed: of the draw.
    """
    fitting = np.flatnonzero((lengths >= 2) & (lengths <= _MAX_TOKENS))
    pool = fitting if len(fitting) else np.arange(len(lengths))
    by_length = pool[np.argsort(lengths[pool], kind="stable")]
    n_short = max(int((lengths[pool] <= longest).sum()), N_SENTENCES)
    pool = np.sort(by_length[:n_short])
    drawn = np.random.default_rng(seed).choice(pool, size=min(N_SENTENCES, len(pool)), replace=False)
    return [int(sentence) for sentence in sorted(drawn)]


def measure_on_sentences(
    model: Transformer, text: ShardText, sentence_ids: Sequence[int], lengths: Int64[np.ndarray, "n_sentences"]
) -> list[Identities]:
    """The identities of a model that has been proved, on some sentences of a text, a pass after the other.

    Args:
        model: which runs as its proof says.
        text: the text.
        sentence_ids: of these sentences.
        lengths: own tokens of each sentence of the text.
    """
    longest_first = sorted(sentence_ids, key=lambda sentence: (-lengths[sentence], sentence))
    widest = max(model.facts.d_vocab, *(cells.n_cells for cells in model.facts.layers))
    special = text.width(Batch((0,), (Run(0, 1, 0),)))
    widths = [special + int(lengths[sentence]) for sentence in longest_first]
    found = []
    for first, end in _groups(widths, _NUMBERS // widest, model.batching.rows):
        runs = (Run(row, row + 1, widths[first + row] - special) for row in range(end - first))
        batch = Batch(tuple(longest_first[first:end]), tuple(runs))
        found.append(measure_identities(model, *text.inputs(batch)))
    return found


def _groups(widths: Sequence[int], most: int, rows: Rows) -> Iterator[tuple[int, int]]:
    """Where passes begin and end, of rows whose widths descend.

    Args:
        widths: positions of each.
        most: positions of a pass, padding included, of more than one row.
        rows: which may share one.
    """
    begin, padding = 0, 0
    for end in range(1, len(widths) + 1):
        if end < len(widths):
            padding += widths[begin] - widths[end]
            fits = (end + 1 - begin) * widths[begin] <= most and padding <= _A_PASS
            if fits and (rows == "padded" or (rows == "equal-length" and padding == 0)):
                continue
        yield begin, end
        begin, padding = end, 0

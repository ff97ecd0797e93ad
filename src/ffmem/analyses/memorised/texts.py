"""Documents as a model reads them, and which of their tokens the rest of a training text hardly has."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.corpus.documents import Document
from ffmem.models.inputs import tokenize
from ffmem.models.transformer import Transformer

LEAST_ELSEWHERE = 2
"""A token counts where the rest of the training text has what it stands for so often, or more."""


@dataclass(frozen=True)
class ReadText:
    """A document and its tokens."""

    name: str
    text: str
    ids: Int64[np.ndarray, " tokens"]
    """Its own, without special ones."""
    spans: tuple[tuple[int, int], ...]
    """Of each, where it begins and ends among the characters."""

    @cached_property
    def surfaces(self) -> list[str]:
        """What each token stands for, as the text has it: a word that the model does not know keeps its letters."""
        return [self.text[start:end] for start, end in self.spans]


def read_document(model: Transformer, document: Document, *, lines: bool = False) -> ReadText:
    """A document in the tokens of a model; one without any has none.

    Args:
        model: whose tokenizer reads it.
        document: what is read.
        lines: whether each line after the first begins with the model's special tokens, as in the training of `reference`;
            these stand for nothing in the text.
    """
    before, _ = model.special_tokens("auto")
    ids: list[int] = []
    spans: list[tuple[int, int]] = []
    at = 0
    for line in document.text.split("\n") if lines else [document.text]:
        tokens = tokenize(model, line)
        if ids and tokens.ids:
            ids += before
            spans += [(at, at)] * len(before)
        ids += tokens.ids
        spans += [(at + start, at + end) for start, end in tokens.spans]
        at += len(line) + 1
    return ReadText(document.name, document.text, np.array(ids, dtype=np.int64), tuple(spans))


def surface_counts(texts: Iterable[ReadText]) -> Counter[str]:
    """How often a training text has what tokens stand for."""
    counts: Counter[str] = Counter()
    for one in texts:
        counts.update(one.surfaces)
    return counts


def known_elsewhere(text: ReadText, counts: Counter[str], *, in_training: bool) -> Bool[np.ndarray, " tokens"]:
    """Which tokens the training text has at least `LEAST_ELSEWHERE` times without this document.

    A word that one training document alone has is in the vocabulary because of that document, or is unknown to the model
    although it was trained on it: either would tell members from others without any memory of a text.

    Args:
        text: a document.
        counts: of the whole training text.
        in_training: whether it is a part of that, so that its own tokens are taken off.
    """
    own = Counter(text.surfaces) if in_training else Counter[str]()
    return np.array([one != "" and counts[one] - own[one] >= LEAST_ELSEWHERE for one in text.surfaces], dtype=bool)


def copies_in(sequences: Sequence[Int64[np.ndarray, " run"]], texts: Sequence[ReadText]) -> Int64[np.ndarray, " n"]:
    """How many documents have each run of tokens somewhere in them.

    Cost: a search of all documents for each run.
    """
    stored = [one.ids.astype("<u4").tobytes() for one in texts]
    return np.array(
        [sum(_has(one, run.astype("<u4").tobytes()) for one in stored) for run in sequences], dtype=np.int64
    )


def _has(stored: bytes, run: bytes) -> bool:
    """Whether a run of tokens of four bytes lies within others, and not between two of them."""
    at = stored.find(run)
    while at >= 0 and at % 4:
        at = stored.find(run, at + 1)
    return at >= 0

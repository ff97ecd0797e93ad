"""Random prefixes of a text, and the passes that bring a model to them: Geva et al. 2021, section 5."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.inputs import padded_rows
from ffmem.models.transformer import Transformer
from ffmem.options import Bos
from ffmem.store.reader import Index
from ffmem.store.text import TextReader

BATCH_TOKENS = 1024
"""Most positions of a batch; a longer sentence goes alone."""


@dataclass(frozen=True)
class Prefixes:
    """Prefixes of sentences: tokens up to and including a position."""

    sentences: tuple[Int[np.ndarray, "own_tokens"], ...]
    """Own tokens of each sentence that has a prefix here, up to the end of its longest prefix."""
    sentence_ids: Int[np.ndarray, "sentences"]
    """What each of them is called where it comes from."""
    document: Int[np.ndarray, "sentences"]
    """The document of each: what is said of prefixes is as uncertain as documents are few."""
    sentence: Int[np.ndarray, "n"]
    """Which of them each prefix is of."""
    position: Int[np.ndarray, "n"]
    """Of each prefix's last token, from 0."""

    def __len__(self) -> int:
        return len(self.sentence)

    def tokens(self, number: int) -> Int[np.ndarray, "prefix_tokens"]:
        """The tokens of a prefix."""
        tokens: np.ndarray = self.sentences[self.sentence[number]][: self.position[number] + 1]
        return tokens

    def some(self, numbers: "Int[np.ndarray, 'some'] | slice") -> "Prefixes":
        """Some of the prefixes, in the order in which they are named."""
        kept, sentence = np.unique(self.sentence[numbers], return_inverse=True)
        return Prefixes(
            sentences=tuple(self.sentences[i] for i in kept.tolist()),
            sentence_ids=self.sentence_ids[kept],
            document=self.document[kept],
            sentence=sentence.astype(np.int64),
            position=self.position[numbers],
        )


@dataclass(frozen=True)
class Continued:
    """Prefixes that a token of their sentence follows."""

    prefixes: Prefixes
    following: Int[np.ndarray, "n"]
    """It."""


def held_out_prefixes(index: Index, n: int, *, seed: int = 0) -> Prefixes:
    """Random prefixes of an index's held-out sentences.

    Sentences are drawn without replacement, with one random position each; where there are fewer sentences than prefixes are
    wanted, they are drawn again with other positions. Long sentences that were cut into windows give no prefix that begins
    within a sentence.

    Args:
        index: an index whose build held documents out.
        n: how many; fewer come back where there are not as many.
        seed: of the draws.

    Raises:
        InputError: nothing was held out.
    """
    text = index.text
    first, end = text.n_sentences, text.n_all_sentences
    if first == end:
        raise InputError(
            f"{index.folder} holds no held-out text: its build had --holdout 0, or its corpus is too small",
            "Expected held-out sentences, on which the model is tested",
            "Build an index with --holdout 0.05, or give other text with --held-out CORPUS",
        )
    return prefixes_of_text(text, first, end, n, seed=seed)


def prefixes_of_text(text: TextReader, first: int, end: int, n: int, *, seed: int = 0) -> Prefixes:
    """As `held_out_prefixes`, of the sentences from ``first`` up to ``end`` of a stored text."""
    ids, sentences = _whole_sentences(text, first, end)
    return random_prefixes(sentences, ids, n, seed=seed, documents=text.document_of(ids))


def continued_prefixes(text: TextReader, first: int, end: int, n: int, *, seed: int = 0) -> Continued:
    """As `prefixes_of_text`, but for those that end their sentence: each has a token that follows it."""
    ids, sentences = _whole_sentences(text, first, end)
    drawn = random_prefixes([one[:-1] for one in sentences], ids, n, seed=seed, documents=text.document_of(ids))
    starts = text.sentence_start[drawn.sentence_ids[drawn.sentence]].astype(np.int64)
    return Continued(drawn, text.token_id[starts + drawn.position + 1].astype(np.int64))


def _whole_sentences(
    text: TextReader, first: int, end: int
) -> tuple[Int[np.ndarray, "sentences"], list[Int[np.ndarray, "own_tokens"]]]:
    """Those that are no windows within a longer one: their numbers and tokens."""
    starts = text.sentence_start.astype(np.int64)
    ids = np.arange(first, end)
    if text.context is not None:
        ids = ids[text.context[first:end] == 0]
    return ids, [text.token_id[starts[i] : starts[i + 1]].astype(np.int64) for i in ids]


def random_prefixes(
    sentences: Sequence[Int[np.ndarray, "own_tokens"]],
    sentence_ids: Int[np.ndarray, "sentences"],
    n: int,
    *,
    seed: int,
    documents: Int[np.ndarray, "sentences"] | None = None,
) -> Prefixes:
    """As `held_out_prefixes`, of any sentences (each a document by itself, by default). In order of sentence and position."""
    documents = sentence_ids if documents is None else documents
    rng = np.random.default_rng(seed)
    lengths = np.array([len(one) for one in sentences], dtype=np.int64)
    orders = [rng.permutation(length) for length in lengths]
    drawn: list[tuple[int, int]] = []
    for turn in range(int(lengths.max(initial=0))):
        able = rng.permutation(np.flatnonzero(lengths > turn))[: n - len(drawn)]
        drawn += [(int(i), int(orders[i][turn])) for i in able]
        if len(drawn) >= n:
            break
    drawn.sort()
    with_prefix, numbers = np.unique([sentence for sentence, _ in drawn], return_inverse=True)
    ends = {sentence: position + 1 for sentence, position in drawn}  # in order, so that the longest stays
    return Prefixes(
        sentences=tuple(sentences[i][: ends[i]] for i in with_prefix.tolist()),
        sentence_ids=sentence_ids[with_prefix] if len(with_prefix) else np.empty(0, np.int64),
        document=documents[with_prefix] if len(with_prefix) else np.empty(0, np.int64),
        sentence=numbers.astype(np.int64),
        position=np.array([position for _, position in drawn], dtype=np.int64),
    )


@dataclass(frozen=True)
class Pass:
    """Some sentences as one input of a model."""

    token_ids: Int[Tensor, "batch positions"]
    attention_mask: Int[Tensor, "batch positions"]
    sentences: tuple[int, ...]
    """Number of the sentence of each row."""
    first: int
    """Position of a sentence's first own token."""


def passes(
    model: Transformer,
    sentences: Sequence[Int[np.ndarray, "own_tokens"]],
    bos: Bos,
    *,
    batch_tokens: int | None = None,
    device: str = "cpu",
) -> Iterator[Pass]:
    """Sentences as inputs of a model, longest first, padded on the right.

    Args:
        model: the model.
        sentences: own tokens of each.
        bos: special tokens, as in an index.
        batch_tokens: most positions of a batch, by default `BATCH_TOKENS`; a longer sentence goes alone.
        device: where the model is.
    """
    before, after = model.special_tokens(bos)
    order = sorted(range(len(sentences)), key=lambda i: (-len(sentences[i]), i))
    begin = 0
    while begin < len(order):
        width = len(before) + len(sentences[order[begin]]) + len(after)
        rows = order[begin : begin + max(1, (batch_tokens or BATCH_TOKENS) // width)]
        if model.batching.rows != "padded":
            end = len(rows) if model.batching.rows == "equal-length" else 1
            rows = [number for number in rows[:end] if len(sentences[number]) == len(sentences[rows[0]])]
        ids, mask = padded_rows([sentences[number] for number in rows], before, after, model.pad_id)
        yield Pass(torch.from_numpy(ids).to(device), torch.from_numpy(mask), tuple(rows), len(before))
        begin += len(rows)


def rows_of(prefixes: Prefixes, one: Pass) -> tuple[Int[np.ndarray, "some"], Int[Tensor, "some"], Int[Tensor, "some"]]:
    """Which prefixes a pass computes; their rows and columns in its states."""
    row_of = {sentence: row for row, sentence in enumerate(one.sentences)}
    some = np.flatnonzero(np.isin(prefixes.sentence, one.sentences))
    rows = torch.tensor([row_of[int(prefixes.sentence[i])] for i in some], dtype=torch.long)
    return some, rows, torch.from_numpy(prefixes.position[some]) + one.first

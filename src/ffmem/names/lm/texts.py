"""The indexed text as a language model is shown it: positions marked, and nothing in the text that could pass for a mark."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int64, Integer

from ffmem.cell import mark
from ffmem.names.halves import HALVES, Half, Halves, halves
from ffmem.store.reader import Index

MARKS = ("\N{MATHEMATICAL LEFT WHITE SQUARE BRACKET}", "\N{MATHEMATICAL RIGHT WHITE SQUARE BRACKET}")
"""Around a token; where the text itself has one of them, it is written as an escape of JSON."""
N_SHOWN = 48
"""Tokens of an excerpt."""
N_AFTER = 12
"""Of them after the marked one, for a model that sees what follows."""
N_NEAR = 32
"""Tokens before a position that count as its words."""
_POOL = 2_000
"""Positions of a half among which those with alike words are looked for."""


@dataclass(frozen=True)
class Texts:
    """The indexed text of an index, by halves of its documents."""

    index: Index
    seed: int = 0

    @cached_property
    def halves(self) -> Halves:
        """Which documents names are made from, and which ones they are held to."""
        return halves(self.index, self.seed)

    @cached_property
    def n_tokens(self) -> int:
        """Indexed tokens: those of held-out documents follow them."""
        return int(self.index.text.sentence_start[self.index.manifest.counts.n_sentences])

    @cached_property
    def last(self) -> Integer[np.ndarray, "tokens"]:
        """The token at each position."""
        return self.index.text.token_id[: self.n_tokens]

    @cached_property
    def frequency(self) -> Int64[np.ndarray, "d_vocab"]:
        """How often each token stands in the indexed text."""
        return np.bincount(self.last, minlength=len(self.index.text.vocabulary)).astype(np.int64)

    @cached_property
    def rarity(self) -> Float[np.ndarray, "d_vocab"]:
        """The logarithm of one over the share of each token: what a word weighs where words are compared."""
        found: np.ndarray = np.log(self.n_tokens / np.maximum(self.frequency, 1))
        return found

    def excerpt(self, token: int) -> str:
        """The text around a position with its token marked, in the quotes and escapes of JSON.

        Of a model that reads from left to right, it ends with the marked token: no cell has seen more.
        """
        sentence_id, position = self.index.text.locate(token)
        row = self.index.text.sentence(sentence_id)
        causal = self.index.manifest.model.causal
        end = position + 1 if causal else min(position + 1 + N_AFTER, len(row.token_ids))
        first = max(0, end - N_SHOWN)
        data = row.text.encode()
        start = int(row.token_starts[first])
        while start > 0 and data[start] & 0xC0 == 0x80:
            start -= 1
        stop = int(row.token_ends[end - 1])
        while stop < len(data) and data[stop] & 0xC0 == 0x80:
            stop += 1
        span = (int(row.token_starts[position]) - start, int(row.token_ends[position]) - start)
        before, marked, after = mark(data[start:stop].decode(), span, "", "")
        lead = "…" if first else ""
        return f'"{lead}{quoted(before)}{MARKS[0]}{quoted(marked)}{MARKS[1]}{quoted(after)}"'

    def previous(self, tokens: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "n"]:
        """The token before each position; -1 at the beginning of a sentence."""
        starts = self.index.text.sentence_start[self.index.text.sentence_of(tokens)].astype(np.int64)
        before = self.last[np.maximum(tokens - 1, 0)].astype(np.int64)
        return np.where(tokens == starts, -1, before)

    def drawn(self, half: Half, n: int, rng: np.random.Generator) -> Int64[np.ndarray, "some"]:
        """Random positions of a half, each in another document where there are as many."""
        documents = self.halves.documents(half)
        tokens = rng.integers(0, self.n_tokens, size=40 * n + 200)
        tokens = np.unique(tokens[np.isin(self.halves.documents_of(tokens), documents)])
        tokens = rng.permutation(self.indexed(tokens))
        return np.array(one_a_document(self, tokens.tolist(), n), dtype=np.int64)

    def indexed(self, tokens: Int64[np.ndarray, "n"]) -> Int64[np.ndarray, "some"]:
        """Those positions that no window merely has in front of its own."""
        context = self.index.text.context
        if context is None:
            return tokens
        sentences = self.index.text.sentence_of(tokens)
        own = tokens - self.index.text.sentence_start[sentences].astype(np.int64) >= context[sentences]
        found: np.ndarray = tokens[own]
        return found

    def with_last(
        self, like: Int64[np.ndarray, "m"], half: Half, n: int, rng: np.random.Generator, *, two: bool = False
    ) -> Int64[np.ndarray, "some"]:
        """At most n random positions of a half with the last token of some position, or its last two.

        Cost: one look at every indexed token.
        """
        wanted = np.unique(self.last[like])
        tokens = np.flatnonzero(np.isin(self.last, wanted))
        if two:
            pairs = {*zip(self.previous(like).tolist(), self.last[like].tolist(), strict=True)}
            pairs = {pair for pair in pairs if pair[0] >= 0}
            seen = zip(self.previous(tokens).tolist(), self.last[tokens].tolist(), strict=True)
            tokens = tokens[np.fromiter((pair in pairs for pair in seen), bool, len(tokens))]
        tokens = rng.permutation(tokens[~np.isin(tokens, like)])
        tokens = self.indexed(tokens[self.halves.is_in(half, tokens)]) if len(tokens) else tokens
        return np.array(one_a_document(self, tokens.tolist(), n), dtype=np.int64)

    def pool(self, half: Half) -> Int64[np.ndarray, "some"]:
        """The same random positions of a half each time."""
        return self._pools[half]

    @cached_property
    def _pools(self) -> dict[Half, Int64[np.ndarray, "some"]]:
        rng = np.random.default_rng([self.seed, 23])
        found: dict[Half, Int64[np.ndarray, some]] = {}
        for half in HALVES:
            tokens = np.unique(rng.integers(0, self.n_tokens, size=4 * _POOL))
            tokens = self.indexed(tokens)
            found[half] = rng.permutation(tokens[self.halves.is_in(half, tokens)])[:_POOL]
        return found

    def alike(self, tokens: Int64[np.ndarray, "n"], like: Int64[np.ndarray, "m"]) -> Float[np.ndarray, "n"]:
        """How much the words before each position are those before some others: the cosine of rare words' weights."""
        profile = np.zeros(len(self.rarity))
        ids, owner = self._before(like)
        weights = self.rarity[ids]
        lengths = np.sqrt(np.bincount(owner, weights**2, minlength=len(like)))
        np.add.at(profile, ids, weights / np.maximum(lengths, 1e-9)[owner])
        profile /= max(float(np.linalg.norm(profile)), 1e-9)
        ids, owner = self._before(tokens)
        weights = self.rarity[ids]
        lengths = np.sqrt(np.bincount(owner, weights**2, minlength=len(tokens)))
        found: np.ndarray = np.bincount(owner, weights * profile[ids], minlength=len(tokens)) / np.maximum(
            lengths, 1e-9
        )
        return found

    def _before(self, tokens: Int64[np.ndarray, "n"]) -> tuple[np.ndarray, np.ndarray]:
        """The tokens before each position, one after the other, and which position each of them stands before."""
        if not len(tokens):
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64)
        starts = self.index.text.sentence_start[self.index.text.sentence_of(tokens)].astype(np.int64)
        first = np.maximum(starts, tokens - N_NEAR)
        n = tokens - first
        owner = np.repeat(np.arange(len(tokens)), n)
        within = np.arange(int(n.sum())) - np.repeat(np.cumsum(n) - n, n)
        return self.last[np.repeat(first, n) + within].astype(np.int64), owner


def quoted(text: str) -> str:
    """Text as it stands between the quotes of JSON, marks and what cannot be seen as escapes too."""
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return "".join(one if one.isprintable() and one not in MARKS else _escape(one) for one in escaped)


def _escape(character: str) -> str:
    return json.dumps(character)[1:-1] if ord(character) >= 0x80 else f"\\u{ord(character):04x}"


def one_a_document(texts: Texts, tokens: Sequence[int], n: int, used: set[int] | None = None) -> list[int]:
    """The first n positions, no two of one document; of documents that have one already, only if others do not suffice.

    Args:
        texts: the text.
        tokens: positions in the order in which they are wanted.
        n: at most so many.
        used: documents that have one already; those of what comes back are added.
    """
    if not len(tokens) or n < 1:
        return []
    used = set() if used is None else used
    documents = texts.halves.documents_of(np.array(tokens, dtype=np.int64)).tolist()
    first, later = [], []
    for token, document in zip(tokens, documents, strict=True):
        if document in used:
            later.append(token)
        else:
            used.add(document)
            first.append(token)
        if len(first) == n:
            break
    return [*first, *later][:n]

"""The coefficient of one cell at every token of a text of one's own, beside what it is in the indexed text."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.token_coefficients import row_coefficients
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, Record
from ffmem.models.inputs import ModelInput, read_text
from ffmem.models.transformer import Transformer
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

MAX_TOKENS = 2_000
"""Of a text that is tried."""


@dataclass(frozen=True)
class TriedToken:
    """A token of the text, or a special one beside it."""

    number: int | None
    """From 0, the first token of the text; None for special tokens."""
    text: str
    start: int
    """Its first character in the text."""
    end: int
    """The character after its last."""
    coefficient: float
    share: float
    """|coefficient| as a share of the largest of its sign in the indexed text, at most 1."""


@dataclass(frozen=True)
class Peak(Record):
    """The strongest token of one sign."""

    number: int
    text: str
    coefficient: float
    rank: int | None
    """From 0, among the stored triggers; None if it is weaker than all of them, and their list is full."""
    as_strong: float | None
    """Share of the positions of the indexed text that are at least as strong; None without a sample."""
    beyond: bool
    """Whether it is stronger than anything in the indexed text."""


@dataclass(frozen=True)
class TriedPiece:
    """A stretch of the text that is shown as one: a token, tokens that share a character, or text between tokens."""

    text: str
    token: TriedToken | None
    """The strongest of them; None between tokens."""


@dataclass(frozen=True)
class Tried(Record):
    """A text as one cell sees it."""

    cell: CellId
    text: str
    tokens: tuple[TriedToken, ...]
    n_active: int
    """Tokens of the text with a coefficient above 0."""
    largest: Peak | None
    """None if no coefficient is above 0."""
    lowest: Peak | None
    """Of gated cells; None if none is below 0."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return super().to_json()

    def pieces(self) -> Iterator[TriedPiece]:
        """The text from beginning to end."""
        at = 0
        own = [one for one in self.tokens if one.number is not None]
        while own:
            first = own.pop(0)
            group, end = [first], first.end
            while own and own[0].start < end:  # they share a character
                group.append(own.pop(0))
                end = max(end, group[-1].end)
            start = max(first.start, at)
            if start > at:
                yield TriedPiece(self.text[at:start], None)
            yield TriedPiece(self.text[start:end], max(group, key=lambda one: abs(one.coefficient)))
            at = max(at, end)
        if at < len(self.text):
            yield TriedPiece(self.text[at:], None)


def try_text(model: Transformer, index: Index, cell: CellId, text: str) -> Tried:
    """See `Tried`.

    Args:
        model: the model of the index.
        index: an opened index.
        cell: one of its cells.
        text: read as one input, with the special tokens that the index was built with.

    Raises:
        InputError: the text has no token, or more than `MAX_TOKENS`, or than the model's context holds.

    Cost: a forward pass up to the cell's layer.
    """
    options = index.manifest.options
    read = read_text(model, text, options.bos)
    if len(read.own.ids) > MAX_TOKENS:
        raise InputError(
            f"the text has {len(read.own.ids):,} tokens", f"Expected at most {MAX_TOKENS:,}", "Give a shorter text"
        )
    place, row = model.all_cells.place(cell)
    coefficients = row_coefficients(model, read.token_ids, (place, row))
    statistics = index.statistics(cell)
    tokens = tuple(_tokens(model, read, coefficients.tolist(), (statistics.minimum, statistics.maximum)))
    own = [one for one in tokens if one.number is not None]
    gated = index.signs_of(index.cells.place(cell)[0]) == 2
    return Tried(
        cell=cell,
        text=text,
        tokens=tokens,
        n_active=sum(one.coefficient > 0 for one in own),
        largest=_peak(index, cell, max(own, key=lambda one: one.coefficient), 1),
        lowest=_peak(index, cell, min(own, key=lambda one: one.coefficient), -1) if gated else None,
    )


def _tokens(
    model: Transformer, read: ModelInput, coefficients: list[float], extremes: tuple[float, float]
) -> Iterator[TriedToken]:
    n_before, n_own, end = len(read.before), len(read.own.ids), len(read.text)
    for place, (token, coefficient) in enumerate(zip(read.token_ids, coefficients, strict=True)):
        number = place - n_before if n_before <= place < n_before + n_own else None
        if number is None:
            span = (0, 0) if place < n_before else (end, end)
            shown = str(model.tokenizer.convert_ids_to_tokens(token))
        else:
            span = read.own.spans[number]
            shown = read.text[slice(*span)]
        bound = extremes[1] if coefficient > 0 else extremes[0]
        share = min(1.0, coefficient / bound) if bound and coefficient / bound > 0 else float(coefficient != 0)
        yield TriedToken(number, shown, *span, coefficient, share)


def _peak(index: Index, cell: CellId, token: TriedToken, sign: int) -> Peak | None:
    size = token.coefficient * sign
    if size <= 0:
        return None
    place, row = index.cells.place(cell)
    arrays, number = index.layer(place), (1 - sign) // 2
    filled = np.asarray(arrays.trigger_token[row, number]) != NO_TOKEN
    stored = np.abs(np.asarray(arrays.trigger_coefficient[row, number]))[filled]
    rank = int((stored > size).sum())
    as_strong = None
    if index.manifest.options.sample:
        sample = index.sample(cell, sign)
        as_strong = float(sample.weights[sample.coefficients >= size].sum() / max(sample.counts.sum(), 1))
    is_weaker = rank == len(stored) and bool(filled.all())
    beyond = not len(stored) or size > float(stored[0])
    return Peak(token.number or 0, token.text, token.coefficient, None if is_weaker else rank, as_strong, beyond)

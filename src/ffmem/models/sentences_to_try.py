"""Which sentences a model is tried on when it is proved: of several lengths, and not too much work."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ffmem.models.plain_call import PlainInput, plain_input
from ffmem.models.transformer import Transformer
from ffmem.options import Bos

_N_SENTENCES = 4
_LONGEST = 20
"""Tokens of a sentence of a model whose passes are not for free: see `_WORK`."""
_WORK = 20 * 135e6
"""Tokens times parameters of the longest sentence, where it is longer than `_LONGEST`."""
_LONGEST_OF_ALL = 4096


@dataclass(frozen=True)
class Sentence:
    """A sentence to try a model on."""

    text: str
    token_ids: tuple[int, ...] | None = None
    """Its own tokens where they are known already, as an index stores them."""
    is_piece: bool = False
    """Cut from a longer text, so that the tokenizer may give it other tokens alone."""


def inputs_to_try(model: Transformer, sentences: Sequence[Sentence], bos: Bos) -> list[PlainInput]:
    """Some sentences of different lengths, shortest first: the longest that is not too much work among them."""
    return _choose(model, _inputs(model, sentences, bos))


def _inputs(model: Transformer, sentences: Sequence[Sentence], bos: Bos) -> list[PlainInput]:
    inputs = []
    for sentence in sentences:
        given = plain_input(model, sentence.text, bos, sentence.token_ids, sentence.is_piece)
        # a text with a token that the embedding has no row for is refused where it is read
        if given is not None and max(given.token_ids) < (model.n_embedded or 2**32):
            inputs.append(given)
    return inputs


def longest_to_try(model: Transformer) -> int:
    """Own tokens of the longest sentence that is not too much work."""
    n_parameters = sum(parameter.numel() for parameter in model.module.parameters())
    return min(max(_LONGEST, int(_WORK / n_parameters)), _LONGEST_OF_ALL)


def _choose(model: Transformer, given: Iterable[PlainInput]) -> list[PlainInput]:
    limit, longest = model.facts.max_length or 2**31 - 1, longest_to_try(model)
    by_length: dict[int, PlainInput] = {}
    for plain in given:
        n = len(plain.own)
        if n and len(plain.token_ids) <= limit:
            by_length.setdefault(n, plain)
    lengths = sorted(by_length)
    fitting = [n for n in lengths if n <= longest]
    if not fitting:
        return [by_length[lengths[0]]] if lengths else []
    places = sorted({round(i * (len(fitting) - 1) / (_N_SENTENCES - 1)) for i in range(_N_SENTENCES)})
    return [by_length[fitting[place]] for place in places]

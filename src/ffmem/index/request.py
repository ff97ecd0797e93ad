"""What is to be indexed, and the text of it."""

import copy
from dataclasses import dataclass

from ffmem.corpus.documents import Corpus
from ffmem.index.inherit import text_of
from ffmem.index.text.writer import TextSource
from ffmem.models.inputs import longest_input
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display, is_byte_level, token_bytes
from ffmem.options import IndexOptions
from ffmem.store.reader import Index


@dataclass(frozen=True)
class Request:
    """What is to be indexed."""

    model: str
    revision: str | None
    corpora: tuple[Corpus, ...]
    options: IndexOptions
    base: Index | None = None
    """A finished index that these corpora continue."""


def text_source(model: Transformer, request: Request) -> TextSource:
    """What turns the corpus into this model's tokens."""
    tokenizer = copy.deepcopy(model.tokenizer.backend_tokenizer)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    vocabulary = token_bytes(model.tokenizer, model.facts.d_vocab)
    prefix, suffix = model.special_tokens(request.options.bos)
    return TextSource(
        corpora=request.corpora,
        tokenizer=tokenizer,
        token_bytes=vocabulary if is_byte_level(model.tokenizer) else None,
        vocabulary=[display(token) for token in vocabulary],
        max_tokens=longest_input(model, request.options.max_length) - len(prefix) - len(suffix),
        base=None if request.base is None else text_of(request.base),
        check_tokens=None if model.n_embedded is None else model.embedded_rows().check,
    )

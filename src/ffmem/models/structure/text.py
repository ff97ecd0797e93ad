"""The text that a model is searched on."""

from typing import Any

from ffmem.errors import ModelError
from ffmem.models.samples import sample_sentences
from ffmem.models.structure.matrices import embedding_of

_SHORTEST, _LONGEST = 8, 20
"""Tokens of the text that is searched: enough to tell positions from each other."""


def text_to_search(module: Any, tokenizer: Any) -> list[int]:
    """Ids of some text: of the vocabulary that the model has rows for, and none that is special."""
    embedding = embedding_of(module)
    n_rows = getattr(embedding, "num_embeddings", None) or len(tokenizer)
    special = set(tokenizer.all_special_ids)
    found: list[int] = []
    for text in sample_sentences(tokenizer):
        ids = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        found += [one for one in ids if one < n_rows and one not in special]
        if len(found) >= _LONGEST:
            break
    while 0 < len(found) < _SHORTEST:
        found += found[: _SHORTEST - len(found)]
    if not found:
        raise ModelError(
            "the tokenizer gives none of our sample texts a token that the model has an embedding for",
            "Expected the tokenizer that the model was trained with",
            "Save that into the model's folder",
        )
    config = module.config.get_text_config() if hasattr(module.config, "get_text_config") else module.config
    limit = getattr(config, "max_position_embeddings", None)
    return found[: min(_LONGEST, max(2, limit - 4))] if isinstance(limit, int) else found[:_LONGEST]

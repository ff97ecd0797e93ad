"""A loaded model that no file of a family names: searched, and made a family of its own, or refused with all a report needs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
import transformers
from torch import nn

from ffmem.foreign import is_out_of_memory
from ffmem.models.half import in_float32
from ffmem.models.structure.find import NotFoundError, Structure, arguments_for, find_structure
from ffmem.models.structure.numbers import TOLERANCE
from ffmem.models.structure.refusal import NotProvenError
from ffmem.models.structure.text import text_to_search

_PACKED_LIMIT = 2e-2
"""Largest error where weights are packed, and products are computed from what they stand for."""


def family_of_structure(name: str, module: Any, tokenizer: Any, *, packed: bool = False) -> Structure:
    """What a model is, as one pass of its own shows.

    Args:
        name: of the model, for messages.
        module: in eval mode.
        tokenizer: its own.
        packed: its weights are in 8 or 4 bits.

    Raises:
        NotProvenError: it cannot be run on text, or something is not explained; the message says which identity fails, and by
            how much.
    """
    token_ids = text_to_search(module, tokenizer)
    try:
        with in_float32(module):
            return find_structure(module, token_ids, _PACKED_LIMIT if packed else TOLERANCE)
    except NotFoundError as problem:
        raise NotProvenError(
            f"no structure of {name} ({type(module).__name__}) is proven: {problem}",
            f"Expected layers whose outputs are the stream plus sums of coefficients times values, to {TOLERANCE:g}",
            f"`ffmem info {name} --structure` lists its modules: please report it with that list; "
            "or write its places down yourself: docs/how-to/add-a-family.md",
        ).of(module) from problem
    except Exception as error:  # whatever a model raises that is given text alone
        if is_out_of_memory(error):
            raise
        told = (str(error).strip().splitlines() or [""])[0][:200]
        raise NotProvenError(
            f"{name} ({type(module).__name__}) cannot be run on text: its own call on token ids ends with "
            f"{type(error).__name__}: {told}",
            "Expected a model that takes token ids alone",
            _text_part(module),
        ).of(module) from error


def _text_part(module: Any) -> str:
    name = type(module).__name__.replace("ForConditionalGeneration", "ForCausalLM")
    if name != type(module).__name__ and hasattr(transformers, name):
        return f"Use a language model; or the decoder alone, which then is told nothing by an encoder: --architecture {name}"
    return "Use a language model, or the text part of this model by itself"


def drop_towers(module: Any, structure: Structure) -> dict[str, int]:
    """Take the parts out of a model of text and more that no text reaches, if it runs without them.

    Returns:
        how many tensors each had, by name.
    """
    dropped, puts_back = _drop(module, structure)
    try:
        if dropped:
            with torch.no_grad():
                module(**arguments_for(module, [3, 1, 2])[0])
    except Exception as error:
        if is_out_of_memory(error):
            raise
        for put_back in puts_back:
            put_back()
        return {}
    return dropped


def _drop(module: Any, structure: Structure) -> tuple[dict[str, int], list[Callable[[], None]]]:
    config = module.config
    puts_back: list[Callable[[], None]] = []
    if not hasattr(config, "get_text_config") or config.get_text_config() is config:
        return {}, []
    kept = list(structure.ran)
    dropped: dict[str, int] = {}
    for path, part in list(module.named_modules()):
        parent, _, last = path.rpartition(".")
        if not path or any(one == path or one.startswith(f"{path}.") or path.startswith(f"{one}.") for one in kept):
            continue
        n = sum(1 for _ in part.parameters())
        holder = module.get_submodule(parent)
        if n and getattr(holder, last, None) is not None and not isinstance(holder, nn.ModuleList | nn.Sequential):
            puts_back.append(partial(setattr, holder, last, part))
            setattr(holder, last, None)
            dropped[last] = n
            kept.append(path)
    return dropped, puts_back

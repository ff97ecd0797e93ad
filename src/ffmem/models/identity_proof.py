"""Holds a loaded model to the identities that reading its memories rests on, on sentences of its own, before it is given out.

What says where keys and values are, a family's file or a search, has no part in it: keys are compared with what the states
that they see make of them, values with what the layer gives, and the last state with the model's own logits.
"""

import torch

from ffmem.errors import ModelError
from ffmem.foreign import is_out_of_memory
from ffmem.json_values import JsonObject
from ffmem.models.half import in_float32
from ffmem.models.identities import Identities, measure_identities
from ffmem.models.samples import sample_sentences
from ffmem.models.structure.refusal import NotProvenError
from ffmem.models.transformer import Transformer

LIMIT = {"float32": 5e-5, "float16": 2e-2, "bfloat16": 1e-1}
"""Largest error that counts as rounding."""
_LONGEST = 14
_N_TEXTS = 1


def prove_identities(model: Transformer) -> JsonObject:
    """Measure the identities of a model on a few texts.

    Returns:
        the largest errors, by name.

    Raises:
        ModelError: one does not hold; the message says which, of which layer, and by how much.
    """
    by_structure = model.family.by_structure
    packed = any(not one.is_floating_point() for one in model.module.parameters())
    if by_structure and not packed:
        with in_float32(model.module):
            return _proven(model, LIMIT["float32"])
    return _proven(model, LIMIT["float16"] if packed else LIMIT[model.facts.dtype])


def _proven(model: Transformer, limit: float) -> JsonObject:
    worst: JsonObject = {}
    for token_ids in _texts(model):
        ids = torch.tensor([token_ids], device=model.device)
        try:
            found = measure_identities(model, ids, torch.ones_like(ids))
        except ModelError:
            raise
        except Exception as error:
            if is_out_of_memory(error):
                raise
            told = (str(error).strip().splitlines() or [""])[0][:200]
            raise NotProvenError(
                f"the identities of {model.facts.name} cannot be measured: {type(error).__name__}: {told}",
                "Expected each layer to run once, on states of its stream",
                "Please report it, with what `ffmem info MODEL --structure` prints of this model",
            ).of(model.module) from error
        _check(model, found, limit)
        for name, value in _largest(found).items():
            worst[name] = max(value, worst.get(name, 0.0))
    return worst


def _largest(found: Identities) -> dict[str, float]:
    keys = [one for one in found.key_errors if one is not None]
    norms = [one for one in found.norm_errors if one is not None]
    return {
        "sums of values": max(found.ff_sum_errors),
        **({"keys": max(keys)} if keys else {}),
        **({"norms": max(norms)} if norms else {}),
        "stream": max(found.residual_errors),
        "hooks": found.hook_error,
        **({"logits": found.logit_error} if found.logit_error is not None else {}),
    }


def _check(model: Transformer, found: Identities, limit: float) -> None:
    names = [one.name for one in model.facts.layers]
    errors: list[tuple[str, float | None]] = [
        ("the logits from the last layer's output", found.logit_error),
        ("the model's answers while coefficients are read against those without", found.hook_error),
    ]
    for what, values in {
        "coefficients times values against the output of layer": found.ff_sum_errors,
        "activations of keys against the coefficients of layer": found.key_errors,
        "what keys are compared with, and other norms, against the norms of layer": found.norm_errors,
        "the stream plus memories against the output of layer": found.residual_errors,
    }.items():
        errors += [(f"{what} {name}", value) for name, value in zip(names, values, strict=True)]
    for what, error in errors:
        if error is not None and not error <= limit:
            raise NotProvenError(
                f"an identity of {model.facts.name} ({model.facts.architecture}, read by "
                f"{'its structure' if model.family.by_structure else f'the rules of {model.family.name}'}) does not hold: "
                f"{what} miss by {error:.2g} of the largest",
                f"Expected at most {limit:g}",
                "Please report it, with what `ffmem info MODEL --structure` prints of this model; or write its places down "
                "yourself: docs/how-to/add-a-family.md",
            ).of(model.module)


def _texts(model: Transformer) -> list[list[int]]:
    """Token ids of some texts, from the end of those that a search begins with; of different lengths."""
    n_rows = model.n_embedded or 2**32
    limit = min(_LONGEST, (model.facts.max_length or 2**31) - 1)
    found: list[list[int]] = []
    for text in reversed(sample_sentences(model.tokenizer)):
        ids = model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
        own = [one for one in ids if one < n_rows][: max(2, limit - len(found))]
        if len(own) > 1:
            found.append(own)
        if len(found) == _N_TEXTS:
            break
    return found or [list(range(min(limit, n_rows)))]

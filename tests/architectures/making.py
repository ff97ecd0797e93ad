"""Random models of the zoo: norms, biases and buffers included, so that one that is forgotten is noticed."""

from collections.abc import Iterator
from functools import cache
from importlib import import_module
from inspect import signature
from pathlib import Path
from pkgutil import iter_modules
from typing import Any

import torch

from tests.architectures import Architecture, zoo
from tests.fixtures.tokenizers import byte_level_tokenizer, word_piece_tokenizer

SENTENCES = (
    "the old village waits for winter letters",
    "Soldiers and musicians write (1,234.5) about the morning market!",
    "the quick brown fox jumps",
)
_DRAWN_BUFFERS = ("e_score_correction_bias", "expert_bias", "final_logits_bias", "layer_scalar", "per_expert_scale")


def _architectures() -> Iterator[Architecture]:
    for module in iter_modules(zoo.__path__):
        yield from import_module(f"{zoo.__name__}.{module.name}").ENTRIES


ARCHITECTURES: dict[str, Architecture] = {}
for _entry in _architectures():
    assert _entry.name not in ARCHITECTURES, f"two entries are named {_entry.name}"
    ARCHITECTURES[_entry.name] = _entry


@cache
def tokenizer_of(kind: str) -> Any:
    """One of the two tokenizers, made once."""
    return word_piece_tokenizer() if kind == "word pieces" else byte_level_tokenizer(False)


def made(architecture: Architecture) -> Any:
    """The model, every parameter drawn anew."""
    torch.manual_seed(11)
    model = architecture.make(len(tokenizer_of(architecture.tokenizer))).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.requires_grad:  # a table of sines
                continue
            if parameter.ndim == 1 or parameter.numel() == 1:
                parameter.add_(torch.randn_like(parameter) * 0.3)
            elif "embed" in name or "wte" in name or "shared.weight" in name:
                parameter.normal_(std=0.3)
            else:
                parameter.normal_(std=0.15)
        for name, buffer in model.named_buffers():
            if name.rpartition(".")[2] in _DRAWN_BUFFERS:
                buffer.add_(torch.randn_like(buffer) * 0.3)
    return model


def inputs_of(architecture: Architecture, model: Any, sentence: str) -> dict[str, Any]:
    """A sentence as the model's own call takes it; a decoder reads its start token before the same tokens."""
    ids = torch.tensor([tokenizer_of(architecture.tokenizer)(sentence).input_ids])
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if "decoder_input_ids" in signature(model.forward).parameters:
        start = torch.full((1, 1), model.config.decoder_start_token_id)
        inputs["decoder_input_ids"] = torch.cat((start, ids), 1)
    return inputs


def save(architecture: Architecture, model: Any, folder: Path) -> None:
    """Model and tokenizer as users have them: config.json, safetensors, tokenizer.json."""
    tokenizer_of(architecture.tokenizer).save_pretrained(folder)
    model.save_pretrained(folder)

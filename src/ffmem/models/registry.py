"""The one table of architectures, and the one way to load a model."""

from importlib import import_module
from pathlib import Path
from typing import Any, get_args

import torch
import transformers

from ffmem.errors import InputError, ModelError
from ffmem.models.base import Family
from ffmem.models.proof import prove_on_samples
from ffmem.models.quiet import quiet
from ffmem.models.sources import model_name, resolve
from ffmem.models.transformer import Transformer
from ffmem.models.weights import packing, take_packed_weights
from ffmem.options import Dtype, Quantize

_FILES = (
    *("bert", "bloom", "falcon", "gemma2", "gpt2", "gpt_neo", "gpt_neox", "gptj", "llama", "marian", "mixtral", "opt"),
    *("phi", "qwen3_moe", "roberta", "t5", "wikilm"),
)
"""The files of this folder that hold a FAMILY each; a new family is one file, and its name here."""

FAMILIES: tuple[Family, ...] = tuple(import_module(f"ffmem.models.{name}").FAMILY for name in _FILES)

_BY_ARCHITECTURE = {architecture: family for family in FAMILIES for architecture in family.architectures}


def load_model(
    model: str | Path,
    *,
    dtype: Dtype = "float32",
    device: str = "cpu",
    revision: str | None = None,
    quantize: Quantize = "no",
    proved: bool = True,
) -> Transformer:
    """A model seen as layers of keys and values, in eval mode, without gradients.

    Args:
        model: a Hugging Face id or folder, a ``.gguf`` file, ``fairseq:FOLDER``, ``smollm2`` or ``minilm``.
        dtype: number type of its weights. Weights stored as float32 stay memory-mapped, so that processes share them.
        device: where it is to be: "cpu", "cuda", ...
        revision: of a hub model.
        quantize: pack plain weights into 8 or 4 bits. Keys and values are then what the packed weights stand for.
        proved: hold it to its own plain call on a few sentences (see proof.py) before it is given out; False where the caller
            does so on sentences of its own, or has the proof of the same model.

    Raises:
        InputError: it is not to be had, or its architecture is not known; the message lists those that are.
        ModelError: its files lack weights, or have shapes that its family cannot have, or the proof fails.
    """
    for name, value, choices in (("dtype", dtype, get_args(Dtype)), ("quantize", quantize, get_args(Quantize))):
        if value not in choices:
            raise InputError(f"{name} is {value!r}", f"Expected one of: {', '.join(choices)}", f"Use {choices[0]}")
    folder = resolve(str(model), revision)
    with quiet():
        config = _read(transformers.AutoConfig, folder, "config.json")
        architecture, family = _family_of(config, str(model))
        packed = packing(config, str(model), quantize, device)
        tokenizer = _read(transformers.AutoTokenizer, folder, "the tokenizer")
        if not getattr(tokenizer, "is_fast", False):
            raise InputError(
                f"the tokenizer of {model} is a slow one, without a tokenizer.json",
                "Expected a fast tokenizer: byte offsets come from it",
                "Save it once with AutoTokenizer.from_pretrained(..., use_fast=True).save_pretrained(FOLDER)",
            )
        # settings for a batch of its author's, which would cut sentences, and which a call may or may not reset
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        module = _read_weights(family.architectures[architecture], folder, dtype, packed)
    if hasattr(config, "_experts_implementation"):
        # the loop that `MixtureLayer` repeats, so that a watch changes no bit
        module.set_experts_implementation("eager")
    if packed:  # it is where it is to be, and transformers would refuse to move it
        take_packed_weights(module, getattr(torch, dtype))
    else:
        module = module.to(device)
    module = module.eval().requires_grad_(False)
    loaded = Transformer(model_name(str(model)), family, module, tokenizer)
    if proved:
        prove_on_samples(loaded)
    return loaded


def _family_of(config: Any, model: str) -> tuple[str, Family]:
    for architecture in config.architectures or ():
        if architecture in _BY_ARCHITECTURE:
            return architecture, _BY_ARCHITECTURE[architecture]
    found = ", ".join(config.architectures or ()) or f"none (model type {config.model_type})"
    raise InputError(
        f"the architecture of {model} is not known: {found}",
        f"Expected one of: {', '.join(sorted(_BY_ARCHITECTURE))}",
        "To add a family, see docs/how-to/add-a-family.md: it is one file and one line",
    )


def _read(auto_class: Any, folder: Path, what: str) -> Any:
    try:
        return auto_class.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # whatever the library meets in damaged files: it raises a dozen types of its own
        raise InputError(
            f"{what} of {folder} cannot be read: {_first_line(error)}",
            "Expected the files that save_pretrained writes",
            "Save model and tokenizer into that folder, or download it again",
        ) from error


def _read_weights(auto_class: str, folder: Path, dtype: Dtype, packed: dict[str, Any]) -> Any:
    try:
        module, report = getattr(transformers, auto_class).from_pretrained(
            folder,
            dtype=getattr(torch, dtype),
            local_files_only=True,
            output_loading_info=True,
            use_safetensors=True,
            **packed,
        )
    except Exception as error:  # as above
        raise ModelError(
            f"the weights in {folder} cannot be read: {_first_line(error)}",
            "Expected whole .safetensors files that fit config.json",
            "Download or save the model again; a model with .bin files only: load it once and save_pretrained it",
        ) from error
    missing = sorted(name for name in report["missing_keys"] if "pooler" not in name)
    if missing or report.get("mismatched_keys"):
        raise ModelError(
            f"the files in {folder} lack weights: {', '.join(missing[:3]) or report['mismatched_keys']}",
            "Expected every weight; random ones would give memories of nothing",
            "Download or save the model again",
        )
    return module


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]

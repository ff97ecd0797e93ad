"""Language models as fairseq saves them: ``model.pt`` and ``dict.txt``, converted to a folder of the family wikilm, once.

This reads `transformer_lm.wiki103.adaptive`, the model of Geva et al. (2021), and others of its kind. Weights only: no code
in the pickle is run, and one that asks for code is refused. Everything that decides what the model computes is read
or checked, the softmax's own tensors among them (the paper's official code left those at random values).

Source of names and defaults: fairseq 0.9 and 0.12, ``models/transformer_lm.py``, ``modules/adaptive_{input,softmax}.py``.
"""

import argparse
import pickle
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.models.base import ConfigFile
from ffmem.models.loading.converted import converted, hash_of
from ffmem.models.wikilm import WikiLMConfig

PREFIX = "fairseq:"

_SPECIAL = ("<s>", "<pad>", "</s>", "<unk>")
"""What stands before the words of dict.txt."""

_DEFAULTS: ConfigFile = {
    "decoder_embed_dim": 512,
    "decoder_ffn_embed_dim": 2048,
    "decoder_layers": 6,
    "decoder_attention_heads": 8,
    "adaptive_input_factor": 4,
    "adaptive_softmax_factor": 4,
    "tokens_per_sample": 1024,
}
"""What fairseq takes where the arguments are silent."""

_REQUIRED: dict[str, tuple[Any, str]] = {
    "adaptive_input": (True, "words without bands"),
    "tie_adaptive_weights": (True, "a softmax with word vectors of its own"),
    "tie_adaptive_proj": (True, "a softmax with projections of its own"),
    "decoder_normalize_before": (True, "LayerNorms after the sub-layers"),
    "activation_fn": ("relu", "another activation"),
    "decoder_learned_pos": (False, "learned positions"),
    "no_token_positional_embeddings": (False, "no positions"),
    "no_scale_embedding": (False, "unscaled word vectors"),
    "character_embeddings": (False, "words made of characters"),
    "adaptive_softmax_cutoff_is_input's": (True, "other bands in the softmax than in the input"),
    "widths_are_equal": (True, "an input or output of another width than its layers"),
}
"""Argument -> what it must be for the family wikilm, and what another value would mean."""

_SILENT: ConfigFile = {"activation_fn": "relu"}
"""What an argument is where it is missing: False for all others."""

_NO_WEIGHTS = (
    *("decoder.version", "decoder.embed_positions._float_tensor", "decoder.embed_tokens._float_tensor"),
    *("decoder.adaptive_softmax.buffer", "decoder.embed_positions.weights"),
)
"""Entries of the state that are constants or marks."""


class _Inert:
    """Stands for an object of the training loop that is of no use here; takes any state and keeps nothing."""

    def __init__(self, *_: Any) -> None:
        pass

    def __setstate__(self, _: Any) -> None:
        pass


_INERT = tuple(
    f"fairseq.{module}.{name}"
    for module in ("meters", "logging.meters")
    for name in ("AverageMeter", "TimeMeter", "StopwatchMeter", "MetersDict")
)
"""Classes whose objects stand in checkpoints beside the weights."""


def from_fairseq(folder: Path) -> Path:
    """A folder with the same model as safetensors; converted once, then found in the cache.

    Args:
        folder: holds ``model.pt`` and ``dict.txt``.

    Raises:
        InputError: a file is missing or unreadable, wants to run code, or is of a model that wikilm does not cover.
        ModelError: a tensor is missing, unknown, or has another shape than the arguments say.
    """
    files = [folder / "model.pt", folder / "dict.txt"]
    for file in files:
        if not file.is_file():
            raise InputError(
                f"{folder} holds no {file.name}",
                "Expected a folder with a fairseq language model: model.pt and dict.txt",
                "Unpack the archive, and name the folder that the two files lie in",
            )
    name = folder.absolute().name
    return converted(f"fairseq-{name}", hash_of(*files), lambda target: _convert(folder, target))


def _convert(folder: Path, target: Path) -> None:
    checkpoint = _load(folder / "model.pt")
    words = read_dictionary(folder / "dict.txt")
    arguments = _arguments(checkpoint, folder)
    config = _config(arguments, len(words), folder)
    weights = _weights(checkpoint["model"], config, folder)
    config.architectures = ["WikiLMForCausalLM"]
    target.mkdir()
    config.save_pretrained(target)
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    word_tokenizer(words).save_pretrained(target)


def _load(file: Path) -> ConfigFile:
    """The checkpoint's tensors and plain values."""
    allowed: list[Any] = [argparse.Namespace, *((_Inert, name) for name in _INERT)]
    try:
        with torch.serialization.safe_globals(allowed):
            checkpoint = torch.load(file, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = next((line for line in str(error).splitlines() if "GLOBAL" in line or "global" in line), str(error))
        raise InputError(
            f"{file} holds more than weights, and was not read: {wanted.strip()[:300]}",
            "Expected tensors, numbers, strings and the arguments of fairseq; nothing in a checkpoint is ever run",
            "Get the checkpoint from its publisher; or load it where you trust it, and save its 'args' and 'model' only",
        ) from error
    except Exception as error:  # whatever torch meets in damaged files
        raise InputError(
            f"{file} cannot be read as a checkpoint: {type(error).__name__}: {str(error)[:200]}",
            "Expected a whole file as fairseq saves it",
            "Download it again",
        ) from error
    if not isinstance(checkpoint, dict) or not isinstance(checkpoint.get("model"), Mapping):
        raise InputError(
            f"{file} has no entry 'model'",
            "Expected a checkpoint of fairseq: a dict with the weights under 'model', and 'args' or 'cfg'",
            "Check that this is the model, and not an optimizer's state",
        )
    return checkpoint


def _arguments(checkpoint: ConfigFile, folder: Path) -> ConfigFile:
    """The model's arguments, from the old form (a Namespace under "args") or the new one (dicts under "cfg")."""
    found = checkpoint.get("args")
    if found is None and isinstance(checkpoint.get("cfg"), Mapping):
        found = checkpoint["cfg"].get("model")
    if isinstance(found, argparse.Namespace):
        found = vars(found)
    if not isinstance(found, Mapping):
        raise InputError(
            f"{folder / 'model.pt'} does not say how its model is built",
            "Expected its arguments under 'args', or under 'cfg' and 'model'",
            "Use a checkpoint that fairseq saved itself",
        )
    return dict(found)


def _cutoffs(value: Any) -> list[int]:
    if isinstance(value, str):
        return [int(part) for part in value.split(",") if part.strip()]
    return [int(part) for part in value or ()]


def _config(arguments: ConfigFile, n_words: int, folder: Path) -> WikiLMConfig:
    def get(name: str) -> Any:
        value = arguments.get(name)
        return _DEFAULTS.get(name, _SILENT.get(name, False)) if value is None else value

    cutoffs, width = _cutoffs(get("adaptive_input_cutoff")), get("decoder_embed_dim")
    softmax = _cutoffs(get("adaptive_softmax_cutoff"))
    # fairseq drops a last cutoff that is the vocabulary's size
    cutoffs, softmax = ([edge for edge in edges if edge < n_words] for edges in (cutoffs, softmax))
    derived = {
        "adaptive_softmax_cutoff_is_input's": softmax == cutoffs
        and get("adaptive_softmax_factor") == get("adaptive_input_factor"),
        "widths_are_equal": all((get(f"decoder_{end}_dim") or width) == width for end in ("input", "output")),
    }
    for name, (value, otherwise) in _REQUIRED.items():
        found = derived.get(name, get(name))
        if found != value:
            raise InputError(
                f"the model in {folder} has {otherwise} ({name} is {found!r})",
                "Expected a model as transformer_lm_wiki103 builds it: adaptive input and softmax that share their"
                " vectors, pre-LN, ReLU, sinusoidal positions",
                "Convert this one to a Hugging Face folder of a family that ffmem knows",
            )
    heads = get("decoder_attention_heads")
    if width % heads or width % 2:
        raise InputError(
            f"the model in {folder} has vectors of {width} numbers and {heads} heads",
            "Expected an even width that the heads divide",
            "Use a checkpoint that fairseq saved itself",
        )
    return WikiLMConfig(
        vocab_size=n_words,
        cutoffs=cutoffs,
        adaptive_factor=int(get("adaptive_input_factor")),
        hidden_size=width,
        num_hidden_layers=get("decoder_layers"),
        num_attention_heads=heads,
        intermediate_size=get("decoder_ffn_embed_dim"),
        final_norm=not get("no_decoder_final_norm"),
        max_position_embeddings=arguments.get("max_target_positions") or get("tokens_per_sample"),
    )


def _names(config: WikiLMConfig) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """(name here, name in fairseq, shape) of every tensor."""
    d_model, d_ff = config.hidden_size, config.intermediate_size
    for band, (start, end, d_band) in enumerate(config.bands):
        theirs = f"decoder.embed_tokens.embeddings.{band}"
        yield f"model.words.bands.{band}.embedding.weight", f"{theirs}.0.weight", (end - start, d_band)
        yield f"model.words.bands.{band}.projection.weight", f"{theirs}.1.weight", (d_model, d_band)
    yield "softmax.classes.weight", "decoder.adaptive_softmax.head.class_proj.weight", (len(config.bands) - 1, d_model)
    matrices = {
        **{f"attention.{name}": (f"self_attn.{name[0]}_proj", d_model, d_model) for name in ("query", "key", "value")},
        "attention.output": ("self_attn.out_proj", d_model, d_model),
        "fc1": ("fc1", d_ff, d_model),
        "fc2": ("fc2", d_model, d_ff),
    }
    norms = {"attention_norm": "self_attn_layer_norm", "ff_norm": "final_layer_norm"}
    for layer in range(config.num_hidden_layers):
        ours, theirs = f"model.layers.{layer}", f"decoder.layers.{layer}"
        for name, (their_name, n_rows, n_columns) in matrices.items():
            yield f"{ours}.{name}.weight", f"{theirs}.{their_name}.weight", (n_rows, n_columns)
            yield f"{ours}.{name}.bias", f"{theirs}.{their_name}.bias", (n_rows,)
        for name, their_name in norms.items():
            for part in ("weight", "bias"):
                yield f"{ours}.{name}.{part}", f"{theirs}.{their_name}.{part}", (d_model,)
    if config.final_norm:
        for part in ("weight", "bias"):
            yield f"model.final_norm.{part}", f"decoder.layer_norm.{part}", (d_model,)


def _tied(config: WikiLMConfig) -> dict[str, str]:
    """The softmax's second names of the input's tensors."""
    softmax, words = "decoder.adaptive_softmax", "decoder.embed_tokens.embeddings"
    tied = {f"{softmax}.head.word_proj.weight": f"{words}.0.0.weight"}
    for tail in range(len(config.bands) - 1):
        tied[f"{softmax}.tail.{tail}.0.weight"] = f"{words}.{tail + 1}.1.weight"
        tied[f"{softmax}.tail.{tail}.2.weight"] = f"{words}.{tail + 1}.0.weight"
    return tied


def _weights(state: Mapping[str, Any], config: WikiLMConfig, folder: Path) -> dict[str, Tensor]:
    """Every tensor under its name here, float32; each one of the checkpoint accounted for."""
    given = dict(_split_attention(state))
    taken: dict[str, Tensor] = {}
    for ours, theirs, shape in _names(config):
        tensor = given.get(theirs)
        if not isinstance(tensor, Tensor):
            raise _broken(folder, f"lacks the tensor {theirs}", f"Expected it, of shape {shape}")
        if tuple(tensor.shape) != shape:
            raise _broken(folder, f"holds {theirs} of shape {tuple(tensor.shape)}", f"Expected {shape}")
        taken[ours] = tensor.float().contiguous()
        if not taken[ours].isfinite().all():
            raise _broken(folder, f"holds numbers in {theirs} that are not finite", "Expected finite weights")
    tied = _tied(config)
    for second, first in tied.items():
        if second not in given:
            raise _broken(folder, f"lacks the tensor {second}", f"Expected it, equal to {first}")
        if not torch.equal(given[second], given[first]):
            raise _broken(folder, f"holds {second} that differs from {first}", "Expected them to be tied")
    known = {theirs for _, theirs, _ in _names(config)} | set(tied) | set(_NO_WEIGHTS)
    unknown = sorted(set(given) - known)
    if unknown:
        raise _broken(
            folder,
            f"holds {len(unknown)} tensors that such a model does not have: {', '.join(unknown[:3])}",
            f"Expected the {len(known) - len(_NO_WEIGHTS)} that its arguments call for",
        )
    return taken


def _split_attention(state: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Checkpoints of older versions hold query, key and value as one matrix."""
    for name, tensor in state.items():
        stem, _, last = name.rpartition(".")
        if last in ("in_proj_weight", "in_proj_bias") and isinstance(tensor, Tensor) and len(tensor) % 3 == 0:
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                yield f"{stem}.{part}_proj.{last.removeprefix('in_proj_')}", piece
        else:
            yield name, tensor


def _broken(folder: Path, got: str, expected: str) -> ModelError:
    return ModelError(
        f"the checkpoint in {folder} {got}",
        f"{expected}, according to its arguments",
        "Download it again; a model that was changed after training has to say so in its arguments",
    )


def read_dictionary(file: Path) -> list[str]:
    """The words of a dict.txt by their ids, the special ones before them.

    Raises:
        InputError: a line that is no word with its count, or a word that comes twice.
    """
    words: dict[str, None] = dict.fromkeys(_SPECIAL)
    for number, line in enumerate(file.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            word, count = line.decode().removesuffix("\r").removesuffix(" #fairseq:overwrite").rsplit(" ", 1)
            int(count)
        except ValueError as error:  # UnicodeDecodeError is one
            raise InputError(
                f"line {number} of {file} is {line[:80]!r}",
                "Expected a word and its count, with a space between",
                "Use the dict.txt that came with the model",
            ) from error
        if word in words:
            raise InputError(
                f"line {number} of {file} holds the word {word!r} a second time",
                "Expected each word once",
                "Use the dict.txt that came with the model",
            )
        words[word] = None
    return list(words)


def word_tokenizer(words: list[str]) -> Any:
    """Words between white space, as fairseq takes them; ``</s>`` before each text, as its language models are run."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from tokenizers.processors import TemplateProcessing
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel({word: number for number, word in enumerate(words)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = WhitespaceSplit()
    tokenizer.post_processor = TemplateProcessing(single="</s> $A", special_tokens=[("</s>", words.index("</s>"))])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="</s>", eos_token="</s>", unk_token="<unk>", pad_token="<pad>"
    )

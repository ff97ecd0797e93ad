"""Whether two sets of files with weights hold the same: a second set beside a model's must be a copy of it."""

import re
from pathlib import Path

import torch
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.loading.pickled import load_pickled
from ffmem.models.loading.tensors import WeightFiles, names_in

MOVE = "Move what is not meant to another folder, and run the same command again"


def check_same(folder: Path, used: WeightFiles, other: WeightFiles) -> None:
    """Refuse another set that does not hold the same tensors, perhaps in a smaller number type.

    Raises:
        InputError: a tensor differs, or stands in one set only.
    """
    with used.reading() as read, other.reading() as read_other:
        for name in other.tensors:
            if name not in used.tensors or not _equal(read(name), read_other(name)):
                raise _differ(folder, used, next(iter(other.tensors.values())).name, name)
        missing = sorted(set(used.tensors) - set(other.tensors))
        if missing:
            raise _differ(folder, used, next(iter(other.tensors.values())).name, missing[0])


_COPIES = re.compile(
    r".*(position_ids|inv_freq|masked_bias|attn\.bias|attention\.bias|embed_tokens\.weight|decoder\.weight)"
)
"""What .bin files hold beside the weights of a safetensors file: buffers, and the two names of tied weights."""


def check_same_pickled(folder: Path, used: WeightFiles, file: Path) -> None:
    """Refuse a .bin file that does not hold the same tensors.

    Raises:
        InputError: a tensor differs, or stands in that file only.
    """
    state = load_pickled(file)
    with used.reading() as read:
        for name, tensor in state.items():
            if name not in used.tensors:
                if _COPIES.fullmatch(name) or name in (
                    "lm_head.weight",
                    "decoder.bias",
                    "cls.predictions.decoder.bias",
                ):
                    continue
                raise _differ(folder, used, file.name, name)
            if not _equal(read(name), tensor):
                raise _differ(folder, used, file.name, name)


def _equal(one: Tensor, other: Tensor) -> bool:
    if one.shape != other.shape:
        return False
    narrow = other.dtype if other.element_size() <= one.element_size() else one.dtype
    return torch.equal(one.to(narrow).nan_to_num(), other.to(narrow).nan_to_num())


def _differ(folder: Path, used: WeightFiles, other: str, tensor: str) -> InputError:
    first = next(link for link in used.links if link.endswith(".safetensors"))
    return InputError(
        f"{folder} holds two sets of weights that differ: {first} and {other} do not have the same {tensor}",
        "Expected one set, or copies of one",
        MOVE,
    )


_ORIGINAL_NAMES = (
    (r"layers\.(\d+)\.feed_forward\.w1\.weight", r"model.layers.\1.mlp.gate_proj.weight"),
    (r"layers\.(\d+)\.feed_forward\.w2\.weight", r"model.layers.\1.mlp.down_proj.weight"),
    (r"layers\.(\d+)\.feed_forward\.w3\.weight", r"model.layers.\1.mlp.up_proj.weight"),
    (r"layers\.(\d+)\.attention\.wv\.weight", r"model.layers.\1.self_attn.v_proj.weight"),
    (r"layers\.(\d+)\.attention\.wo\.weight", r"model.layers.\1.self_attn.o_proj.weight"),
    (r"layers\.(\d+)\.attention_norm\.weight", r"model.layers.\1.input_layernorm.weight"),
    (r"layers\.(\d+)\.ffn_norm\.weight", r"model.layers.\1.post_attention_layernorm.weight"),
    (r"tok_embeddings\.weight", "model.embed_tokens.weight"),
    (r"norm\.weight", "model.norm.weight"),
    (r"output\.weight", "lm_head.weight"),
)
"""Of the form in which Llama and Mistral are published first; queries and keys have their rows in another order there."""


def check_originals(folder: Path, used: WeightFiles, files: list[str]) -> None:
    """Weights in the form of the program that trained them must be the same; a .pth is unpickled by nobody here."""
    for file in files:
        names = names_in(folder / file) if file.endswith(".safetensors") else []
        theirs = WeightFiles({file: folder / file})
        compared = 0
        with used.reading() as read, theirs.reading() as read_theirs:
            for name in names:
                ours = _translated(name)
                if ours in used.tensors:
                    compared += 1
                    if not _equal(read(ours), read_theirs(name)):
                        raise _differ(folder, used, file, ours)
        if not compared:
            raise InputError(
                f"{folder} holds a second set of weights, which cannot be compared with the first: {file}",
                "Expected one set, or copies of one",
                MOVE,
            )


def _translated(name: str) -> str:
    for theirs, ours in _ORIGINAL_NAMES:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, ours, name)
    return ""

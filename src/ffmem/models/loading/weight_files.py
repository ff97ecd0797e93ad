"""Which files of a folder hold a model's weights: one set, whole, and no other that differs."""

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.models.loading.pickled import as_safetensors, load_pickled

SINGLE = "model.safetensors"
INDEX = "model.safetensors.index.json"

_SINGLE = re.compile(r"model(?:\.(?P<variant>[\w-]+))?\.safetensors")
_INDEX = re.compile(r"model\.safetensors\.index(?:\.(?P<variant>[\w-]+))?\.json")
_SHARD = re.compile(r"model(?:\.[\w-]+)?-\d+-of-\d+(?:\.[\w-]+)?\.safetensors")
_PICKLED = re.compile(r"pytorch_model(?:\.bin|-\d+-of-\d+\.bin)")
_ORIGINAL = re.compile(r"consolidated.*\.(?:safetensors|pth)")
_OTHER_FRAMEWORKS = re.compile(r"tf_model.*\.h5|flax_model.*\.msgpack|rust_model\.ot|model\.ckpt.*")
_TRAINING = re.compile(
    r"training_args\.bin|optimizer\.(?:bin|pt)|scheduler\.(?:bin|pt)|scaler\.pt|rng_state.*\.pth|random_states.*\.pkl"
)
"""What a trainer keeps beside a model to go on from."""
_ADAPTER = re.compile(r"adapter_model\.(?:safetensors|bin)")
"""Judged by whoever reads the folder's adapter."""
_HOLDS_WEIGHTS = (".safetensors", ".bin", ".pt", ".pth")
_MOVE = "Move what is not meant to another folder, and run the same command again"


@dataclass(frozen=True)
class WeightFiles:
    """The files with a model's weights, under the names by which transformers looks for them."""

    links: Mapping[str, Path]
    """From those names to where the files are."""
    not_read: tuple[str, ...] = ()
    """Further files with weights, which hold the same or are of other frameworks."""

    @cached_property
    def tensors(self) -> dict[str, Path]:
        """From the name of each tensor to the file that holds it."""
        return {
            name: file for link, file in self.links.items() if link.endswith(".safetensors") for name in names_in(file)
        }

    @contextmanager
    def reading(self) -> Iterator[Any]:
        """A function from a tensor's name to the tensor, memory-mapped."""
        opened: dict[Path, Any] = {}

        def read(name: str) -> Tensor:
            file = self.tensors[name]
            if file not in opened:
                opened[file] = safe_open(file, framework="pt")
            found: Tensor = opened[file].get_tensor(name)
            return found

        yield read


def names_in(file: Path) -> list[str]:
    """The names of the tensors of a safetensors file.

    Raises:
        ModelError: it is cut short, or none.
    """
    try:
        with safe_open(file, framework="pt") as opened:
            return list(opened.keys())
    except (SafetensorError, OSError, ValueError) as error:
        raise ModelError(
            f"the weights in {file.parent} cannot be read: {file.name}: {str(error)[:200]}",
            "Expected whole .safetensors files that fit config.json",
            "Download or save the model again",
        ) from error


def has_weights(folder: Path) -> bool:
    """Whether a folder holds a model of its own, not only an adapter of one."""
    names = [path.name for path in folder.iterdir()]
    patterns = (_SINGLE, _INDEX, _PICKLED)
    return "config.json" in names and any(pattern.fullmatch(name) for name in names for pattern in patterns)


def find_weights(folder: Path) -> WeightFiles:
    """The weights of a folder.

    Raises:
        InputError: there are none, none that can be read, or several sets of them that differ.
        ModelError: a file is damaged, or an index names one that is not there.
    """
    names = sorted(path.name for path in folder.iterdir() if path.is_file() or path.is_symlink())
    sets = _sets(folder, names)
    pickled = [name for name in names if _PICKLED.fullmatch(name)]
    if not sets:
        if not pickled:
            raise _nothing_to_read(folder, names)
        sets[""] = as_safetensors(folder, _whole_pickled(folder, pickled))
    variant = "" if "" in sets else min(sets)
    used = WeightFiles(sets.pop(variant))
    others = [name for name in names if _ORIGINAL.fullmatch(name) or _OTHER_FRAMEWORKS.fullmatch(name)]
    for other in sets.values():
        check_same(folder, used, WeightFiles(other))
        others += [file.name for link, file in other.items() if link.endswith(".safetensors")]
    if pickled and not _is_converted(used, folder):
        for name in pickled:
            _check_same_pickled(folder, used, folder / name)
        others += pickled
    _check_originals(folder, used, [name for name in others if _ORIGINAL.fullmatch(name)])
    known = {file.name for file in used.links.values()} | set(others) | set(pickled)
    for name in names:
        accounted = name in known or _TRAINING.fullmatch(name) or _ADAPTER.fullmatch(name)
        if name.endswith(_HOLDS_WEIGHTS) and not accounted:
            raise InputError(
                f"{folder} holds weights that are not part of its model: {name}",
                f"Expected one set of weights; this one is {', '.join(sorted(used.links))[:200]}",
                _MOVE,
            )
    return WeightFiles(used.links, tuple(sorted(others)))


def _sets(folder: Path, names: list[str]) -> dict[str, dict[str, Path]]:
    """The sets of weights in safetensors by their variant, "" for the usual one."""
    found: dict[str, dict[str, Path]] = {}
    for name in names:
        single, index = _SINGLE.fullmatch(name), _INDEX.fullmatch(name)
        if single and not _SHARD.fullmatch(name):
            found.setdefault(single["variant"] or "", {})[SINGLE] = _there(folder, name)
        elif index:
            variant = index["variant"] or ""
            shards = _shards(folder, name)
            if set(shards) == {SINGLE}:
                continue  # what some tools write beside a single file
            if SINGLE in found.get(variant, {}) or (not variant and SINGLE in names):
                raise InputError(
                    f"{folder} holds two sets of weights: {SINGLE}, and the {len(shards)} files that {name} names",
                    "Expected one",
                    f"Move {SINGLE}, or {name} and the files that it names, to another folder",
                )
            found.setdefault(variant, {}).update({INDEX: folder / name} | shards)
    return found


def _there(folder: Path, name: str) -> Path:
    if not (folder / name).is_file():
        raise ModelError(
            f"{folder / name} is a link to {(folder / name).readlink()}, which is missing",
            "Expected a file with weights",
            "Download or save the model again",
        )
    return folder / name


def _shards(folder: Path, index: str) -> dict[str, Path]:
    """The files that an index names, each tensor where it says."""
    try:
        where = json.loads((folder / index).read_bytes())["weight_map"]
        files = sorted(set(where.values()))
        if not files or any(Path(file).name != file for file in files):
            raise ValueError(f"weight_map names {files[:1]}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(
            f"{folder / index} cannot be read: {type(error).__name__}: {str(error)[:200]}",
            "Expected a weight_map from the names of tensors to files of this folder",
            "Download or save the model again",
        ) from error
    missing = [file for file in files if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{folder / index} names {len(missing)} of {len(files)} files that are missing: {', '.join(missing[:3])}",
            "Expected all files with weights",
            f"Download or save the model again; if {index} is left from an earlier model, remove it",
        )
    for file in files:
        if file != SINGLE:
            listed = {name for name, place in where.items() if place == file}
            found = set(names_in(folder / file))
            if listed != found:
                raise ModelError(
                    f"{folder / index} and {file} disagree about the tensor {min(listed ^ found)}",
                    "Expected each tensor in the file that the index says",
                    "Download or save the model again",
                )
    return {file: folder / file for file in files}


def _whole_pickled(folder: Path, pickled: list[str]) -> list[Path]:
    """The .bin files of one set: the single one, or all shards."""
    index = folder / "pytorch_model.bin.index.json"
    single = "pytorch_model.bin" in pickled
    if single and len(pickled) > 1:
        raise InputError(
            f"{folder} holds two sets of weights: pytorch_model.bin, and {len(pickled) - 1} parts of another",
            "Expected one",
            _MOVE,
        )
    if single:
        return [folder / "pytorch_model.bin"]
    try:
        wanted = sorted(set(json.loads(index.read_bytes())["weight_map"].values()))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        wanted = []
    if wanted != pickled:
        lacking = sorted(set(wanted) ^ set(pickled))
        raise ModelError(
            f"{index} and the .bin files beside it do not fit: {', '.join(lacking[:3]) or 'the index is damaged'}",
            "Expected all files that the index names",
            "Download the model again",
        )
    return [folder / name for name in pickled]


def _is_converted(used: WeightFiles, folder: Path) -> bool:
    return all(file.parent != folder for file in used.links.values())


def _nothing_to_read(folder: Path, names: list[str]) -> InputError:
    stray = [name for name in names if _SHARD.fullmatch(name)]
    if stray:
        return InputError(
            f"{folder} holds parts of a model ({', '.join(stray[:2])}) and no {INDEX}",
            "Expected the index that says which tensor lies where",
            "Download or save the model again, with all files",
        )
    originals = [name for name in names if _ORIGINAL.fullmatch(name)]
    if originals:
        return InputError(
            f"the weights in {folder} are in the form of the program that trained them: {', '.join(originals[:3])}",
            f"Expected {SINGLE}, as transformers names weights",
            "Use the repository whose name ends in -hf, or convert them with the script convert_..._weights_to_hf.py "
            "of transformers",
        )
    others = [name for name in names if _OTHER_FRAMEWORKS.fullmatch(name)]
    if others:
        return InputError(
            f"the weights in {folder} are of another framework: {', '.join(others[:3])}",
            f"Expected {SINGLE}",
            'In an environment with pip install "transformers<5" torch, and tensorflow or flax: python -c "import transformers '
            "as t; t.AutoModel.from_pretrained('FOLDER', from_tf=True).save_pretrained('FOLDER')\" (from_flax=True for flax), "
            "with the class that config.json names",
        )
    return InputError(
        f"{folder} holds no weights",
        f"Expected {SINGLE}, its parts with {INDEX}, or pytorch_model.bin",
        "Save the model into that folder with save_pretrained, or download it again",
    )


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


def _check_same_pickled(folder: Path, used: WeightFiles, file: Path) -> None:
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
        _MOVE,
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


def _check_originals(folder: Path, used: WeightFiles, files: list[str]) -> None:
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
                _MOVE,
            )


def _translated(name: str) -> str:
    for theirs, ours in _ORIGINAL_NAMES:
        if re.fullmatch(theirs, name):
            return re.sub(theirs, ours, name)
    return ""

"""Which files of a folder hold a model's weights: one set, whole, and no other that differs."""

import json
import re
from pathlib import Path

from ffmem.errors import InputError, ModelError
from ffmem.models.loading.pickled import as_safetensors
from ffmem.models.loading.same_weights import MOVE, check_originals, check_same, check_same_pickled
from ffmem.models.loading.tensors import WeightFiles, names_in

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
            check_same_pickled(folder, used, folder / name)
        others += pickled
    check_originals(folder, used, [name for name in others if _ORIGINAL.fullmatch(name)])
    known = {file.name for file in used.links.values()} | set(others) | set(pickled)
    for name in names:
        accounted = name in known or _TRAINING.fullmatch(name) or _ADAPTER.fullmatch(name)
        if name.endswith(_HOLDS_WEIGHTS) and not accounted:
            raise InputError(
                f"{folder} holds weights that are not part of its model: {name}",
                f"Expected one set of weights; this one is {', '.join(sorted(used.links))[:200]}",
                MOVE,
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
            MOVE,
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
            f"the weights in {folder} are in the format of the program that trained them: {', '.join(originals[:3])}",
            f"Expected {SINGLE}, as transformers names weights",
            "Use the repository whose name ends in -hf, or convert them with the script convert_..._weights_to_hf.py "
            "of transformers",
        )
    others = [name for name in names if _OTHER_FRAMEWORKS.fullmatch(name)]
    if others:
        return InputError(
            f"the weights in {folder} belong to another framework: {', '.join(others[:3])}",
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

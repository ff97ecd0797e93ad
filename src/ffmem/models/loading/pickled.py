"""Weights in .bin files, which are pickles: read as tensors and nothing else, and kept as safetensors in the cache."""

import json
from pathlib import Path
from pickle import UnpicklingError

import torch
from safetensors.torch import save_file
from torch import Tensor

from ffmem.errors import InputError, ModelError
from ffmem.models.loading.converted import converted, hash_of


def load_pickled(file: Path) -> dict[str, Tensor]:
    """The tensors of a .bin file by their names; no code in it is run.

    Raises:
        InputError: it asks for code, or holds more than tensors.
        ModelError: it is damaged.
    """
    try:
        try:
            state = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        except RuntimeError:  # what torch wrote before 1.6 is no archive that can be mapped
            state = torch.load(file, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise InputError(
            f"{file} holds more than weights: it is a pickle that asks for code, and none of it was run",
            "Expected tensors by their names",
            "Use the model's safetensors; or, only where you trust the file: python -c \"import torch; f = 'FILE'; s = "
            'torch.load(f, weights_only=False); torch.save({n: t for n, t in s.items() if torch.is_tensor(t)}, f)"'.replace(
                "FILE", str(file)
            ),
        ) from error
    except Exception as error:  # whatever torch meets in damaged files: zip, pickle and system errors among them
        raise ModelError(
            f"{file} cannot be read: {(str(error).splitlines() or [type(error).__name__])[0][:200]}",
            "Expected a whole file of weights, as torch.save writes it",
            "Download it again",
        ) from error
    if not isinstance(state, dict) or not all(isinstance(one, Tensor) for one in state.values()):
        kinds = sorted({type(one).__name__ for one in (state.values() if isinstance(state, dict) else [state])})
        raise InputError(
            f"{file} holds {' and '.join(kinds)}, not only tensors by their names",
            "Expected the state_dict of a model, as save_pretrained writes it",
            "Load the model in the program that wrote it, and save_pretrained it",
        )
    return {str(name): tensor for name, tensor in state.items()}


def as_safetensors(folder: Path, files: list[Path]) -> dict[str, Path]:
    """The same weights in safetensors, converted once, by the names that transformers looks for."""

    def write(target: Path) -> None:
        target.mkdir(parents=True)
        where: dict[str, str] = {}
        for number, file in enumerate(files, start=1):
            name = "model.safetensors" if len(files) == 1 else f"model-{number:05}-of-{len(files):05}.safetensors"
            # cloned: two names of one tensor, which tied weights have, cannot be written otherwise
            tensors = {one: tensor.clone().contiguous() for one, tensor in load_pickled(file).items()}
            save_file(tensors, target / name, metadata={"format": "pt"})
            where |= dict.fromkeys(tensors, name)
        if len(files) > 1:
            (target / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))

    made = converted(folder.resolve().name, hash_of(*files), write)
    return {path.name: path for path in sorted(made.iterdir())}

"""A model spread over devices by accelerate: what transformers is told, and what can be spread.

Which layers are where, accelerate decides; each is run where it lies, or, if it lies in the memory of the host or on the disk,
on the device whose turn it is, to which its weights are brought in every forward pass. So no product is computed elsewhere
than on devices of the kind that is asked for, and results are those of the model held whole.
"""

import importlib.util
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import nn

from ffmem.device_maps import Limits, parse_device_map
from ffmem.errors import InputError
from ffmem.models.base import CallArguments
from ffmem.models.present import is_offloaded

_OF_WEIGHTS = 0.8
"""Share of a GPU's free memory that "auto" gives to weights: the rest is for lists of cells, and batches."""


def spreading(device_map: str, device: str) -> CallArguments:
    """What transformers must be told to spread a model.

    Args:
        device_map: see `parse_device_map`.
        device: the kind of device that the model runs on: "cpu" or "cuda".

    Raises:
        InputError: accelerate is missing, or the two options do not fit.
    """
    limits = parse_device_map(device_map)
    if device not in ("cpu", "cuda"):
        raise InputError(
            f"--device-map is given with --device {device}",
            "Expected --device cuda, for all GPUs that the map names, or cpu",
            "Write --device cuda, and the GPUs that are meant into --device-map",
        )
    gpus = [] if limits is None else [name for name in limits if name != "cpu"]
    n_gpus = torch.cuda.device_count() if device == "cuda" else 0
    wrong = [name for name in gpus if int(name) >= n_gpus]
    if wrong or (device == "cuda" and limits is not None and not gpus):
        raise InputError(
            f"--device-map {device_map} names {f'GPU {wrong[0]}' if wrong else 'no GPU'} with --device {device}",
            f"Expected GPUs from 0 to {n_gpus - 1}, and cpu" if n_gpus else "Expected no other device than cpu",
            "Write --device-map auto",
        )
    if importlib.util.find_spec("accelerate") is None:
        raise InputError(
            "--device-map needs the package accelerate, which is not installed",
            "Expected ffmem with its extra quantized, or accelerate by itself",
            "pip install 'ffmem[quantized]', or pip install accelerate",
        )
    # transformers' own balance, within limits that leave room for the rest
    return {"device_map": "auto", "max_memory": limits or _free(n_gpus)}


def _free(n_gpus: int) -> Limits:
    """What "auto" means: GPUs, then the memory of the host."""
    from accelerate.utils import get_max_memory

    found = get_max_memory()
    gpus: Limits = {number: int(_OF_WEIGHTS * found[number]) for number in range(n_gpus) if number in found}
    return {**gpus, "cpu": int(_OF_WEIGHTS * found["cpu"])}


@contextmanager
def offloading(spread: CallArguments) -> Iterator[CallArguments]:
    """The same arguments, with a folder for weights that are to stay on the disk and that no file holds as they are used."""
    if not spread:
        yield {}
        return
    folder = Path(tempfile.mkdtemp(prefix="ffmem-offload-"))
    try:
        yield spread | {"offload_folder": folder}
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def take_spread(module: nn.Module, arguments: CallArguments, view: Path) -> None:
    """Make what transformers has spread independent of the folder that it was read through.

    Args:
        module: as it was loaded.
        arguments: see `offloading`; the folder for weights goes when the module does, at once if it is empty.
        view: the folder, whose files are links.
    """
    folder: Path | None = arguments.get("offload_folder")
    if folder is None:
        return
    if any(folder.iterdir()):
        weakref.finalize(module, shutil.rmtree, folder, ignore_errors=True)
    else:
        folder.rmdir()
    for part in module.modules():
        hook = getattr(part, "_hf_hook", None)
        for one in getattr(hook, "hooks", [hook]):
            loader = getattr(getattr(one, "weights_map", None), "dataset", None)
            for told in getattr(loader, "index", {}).values():
                file = Path(told.get("safetensors_file") or "")
                if file.parent == view:
                    told["safetensors_file"] = str(file.resolve())


def check_spreadable(name: str, *, by_structure: bool, packed: bool, adapter: bool) -> None:
    """Refuse what would be read wrongly, or not at all, where a model is spread.

    Raises:
        InputError: which of them it is.
    """
    what = {
        "its weights are packed in 8 or 4 bits": packed,
        "an adapter is to be merged into its weights": adapter,
        "no file names its class, so that its places have to be found by a pass over the whole model": by_structure,
    }
    for reason, holds in what.items():
        if holds:
            raise InputError(
                f"{name} cannot be spread over devices: {reason}",
                "Expected plain weights, of a family that ffmem knows by name",
                "Leave --device-map out; or, of an adapter, merge it first with peft and save the whole model",
            )


def check_in_place(module: nn.Module, name: str, reason: str) -> None:
    """Refuse weights that are read from their files again and again.

    Args:
        module: of the model.
        name: of the model.
        reason: why they must be in place.

    Raises:
        InputError: some of them are read so.
    """
    if is_offloaded(module):
        raise InputError(
            f"--device-map leaves weights of {name} in the host's memory or on the disk, and {reason}",
            "Expected all weights on the device where they are used",
            "Leave --device-map out, or give its devices more memory",
        )

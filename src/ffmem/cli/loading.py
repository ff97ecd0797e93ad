"""Loads a model for a verb, and sets this process up for it. Apart from the options because it needs torch."""

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from ffmem.errors import InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.machine import check_device
from ffmem.models.registry import load_model
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index, open_index

if TYPE_CHECKING:
    from ffmem.cli.options import IndexModelOptions, ModelOptions

_OF_INDEX = ("device", "threads", "trust_remote_code")
"""Options of a model that may be given with an index, which says all others itself."""


def load(model: str, options: "ModelOptions") -> Transformer:
    """A model by its name."""
    set_threads(options.threads)
    device = options.device or "cpu"
    check_device(device)
    return load_model(
        model,
        dtype=options.dtype,
        device=device,
        revision=options.revision,
        trust_remote_code=options.trust_remote_code,
        architecture=options.architecture,
        patches=options.patch,
    )


def load_indexed(index: Index, model: str | None, options: "IndexModelOptions") -> Transformer:
    """The model of an index, from where it is now; None: where it was."""
    return _load(index, model, options.threads, options.device, options.trust_remote_code)


def _load(index: Index, model: str | None, threads: int, device: str | None, trusted: bool) -> Transformer:
    set_threads(threads)
    return load_indexed_model(index, model, device, trust_remote_code=trusted)


def load_known(model: str, index: str | None, options: "ModelOptions") -> tuple[Index | None, Transformer]:
    """An index and its model, or a model and the index that is given beside it, if one is.

    Raises:
        InputError: with an index there is another index, or an option that says which model is meant.
    """
    if not StorePaths(Path(model)).manifest.is_file():
        return None if index is None else open_index(index), load(model, options)
    plain = type(options)()
    given = ["--index"] if index is not None else []
    given += [
        f"--{one.name.replace('_', '-')}"
        for one in fields(options)
        if one.name not in _OF_INDEX and getattr(options, one.name) != getattr(plain, one.name)
    ]
    if given:
        raise InputError(
            f"{model} is an index, and says itself which model it is of and how that is read",
            f"Expected no {', '.join(given)} beside it",
            "Leave it out, or name the model first and the index by --index",
        )
    whole = open_index(model)
    return whole, _load(whole, None, options.threads, options.device, options.trust_remote_code)

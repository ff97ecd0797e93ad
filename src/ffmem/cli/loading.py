"""Loads a model for a verb, and sets this process up for it. Apart from the options because it needs torch."""

from typing import TYPE_CHECKING

from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.machine import check_device
from ffmem.models.registry import load_model
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.cli.options import IndexModelOptions, ModelOptions


def load(model: str, options: "ModelOptions") -> Transformer:
    """A model by its name."""
    set_threads(options.threads)
    check_device(options.device)
    return load_model(
        model,
        dtype=options.dtype,
        device=options.device,
        revision=options.revision,
        trust_remote_code=options.trust_remote_code,
        architecture=options.architecture,
        patches=options.patch,
    )


def load_indexed(index: Index, model: str | None, options: "IndexModelOptions") -> Transformer:
    """The model of an index, from where it is now; None: where it was."""
    set_threads(options.threads)
    return load_indexed_model(index, model, options.device, trust_remote_code=options.trust_remote_code)

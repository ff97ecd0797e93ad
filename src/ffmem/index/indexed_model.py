"""The model that an index was built from, loaded again."""

from pathlib import Path

from ffmem.errors import InputError
from ffmem.index.machine import check_device, device_here
from ffmem.models.attached import attach_indexed
from ffmem.models.base import Batching
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.store.manifest import Manifest
from ffmem.store.reader import Index


def load_indexed_model(
    index: Index,
    source: str | None = None,
    device: str | None = None,
    *,
    trust_remote_code: bool = False,
    proved: bool = True,
) -> Transformer:
    """The model that an index was built from.

    Args:
        index: an opened index.
        source: where the model is now, if not where it was.
        device: where to put it; by default where the index was built, or on the CPU of a machine that lacks it.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        proved: see `load_model`; False where the caller proves it on sentences of the index.

    Raises:
        InputError: the model cannot be found, or has other weights; or so a dictionary or a patch of the index; or there is no
            such device.
    """
    identity = index.manifest.identity
    revision = None if source else identity.model.revision
    source = source or identity.model.source
    options = identity.options
    _check_patches(index)
    if device is not None:
        check_device(device)
    loaded = load_model(
        source,
        dtype=options.dtype,
        device=device_here(options.device) if device is None else device,
        revision=revision,
        quantize=options.quantize,
        proved=proved,
        trust_remote_code=trust_remote_code,
        architecture=options.architecture,
        patches=options.patch,
    )
    if loaded.weights_hash() != identity.model.weights_sha256:
        raise InputError(
            f"the model at {source} has other weights than the one that {index.folder} was built from",
            f"Expected weights with SHA-256 {identity.model.weights_sha256[:16]}...",
            "Say where that model is: --model FOLDER",
        )
    index.check_layers(loaded.cells)
    adopt_proof(loaded, index.manifest)
    adopt_dictionaries(loaded, index.manifest)
    return loaded


def _check_patches(index: Index) -> None:
    """Refuse an index whose patches are no longer where they were: no verb that reads an index is told of others."""
    missing = [patch for patch in index.manifest.options.patch if not Path(patch).is_file()]
    if missing:
        raise InputError(
            f"the patch {missing[0]}, with which the model of {index.folder} was read, is not there",
            "Expected the file that `ffmem edit` wrote, where it was when the index was built",
            f"Put it back: cp PATCH {missing[0]}",
        )


def adopt_dictionaries(model: Transformer, manifest: Manifest) -> None:
    """Let a model have the dictionaries of an index of it.

    Raises:
        InputError: one of them is no longer where it was, or has other arrays.
    """
    attach_indexed(model, manifest.options.attachments, manifest.dictionaries)


def adopt_proof(model: Transformer, manifest: Manifest) -> None:
    """Run a model as its own proof and that of an index of it say: the index may have longer sentences than the samples."""
    proof = manifest.certificate.proof
    if proof is not None:
        model.adopt(model.batching.stricter(Batching(**proof.batching)))

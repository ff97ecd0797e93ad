"""The model that an index was built from, loaded again."""

from ffmem.errors import InputError
from ffmem.models.base import Batching
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.store.manifest import Manifest
from ffmem.store.reader import Index


def load_indexed_model(
    index: Index, source: str | None = None, device: str = "cpu", *, trust_remote_code: bool = False
) -> Transformer:
    """The model that an index was built from.

    Args:
        index: an opened index.
        source: where the model is now, if not where it was.
        device: where to put it.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.

    Raises:
        InputError: the model cannot be found, or has other weights.
    """
    identity = index.manifest.identity
    revision = None if source else identity.model.revision
    source = source or identity.model.source
    options = identity.options
    loaded = load_model(
        source,
        dtype=options.dtype,
        device=device,
        revision=revision,
        quantize=options.quantize,
        trust_remote_code=trust_remote_code,
        architecture=options.architecture,
    )
    if loaded.weights_hash() != identity.model.weights_sha256:
        raise InputError(
            f"the model at {source} has other weights than the one that {index.folder} was built from",
            f"Expected weights with SHA-256 {identity.model.weights_sha256[:16]}...",
            "Say where that model is: --model FOLDER",
        )
    index.check_layers(loaded.cells)
    adopt_proof(loaded, index.manifest)
    return loaded


def adopt_proof(model: Transformer, manifest: Manifest) -> None:
    """Run a model as its own proof and that of an index of it say: the index may have longer sentences than the samples."""
    proof = manifest.certificate.proof
    if proof is not None:
        model.adopt(model.batching.stricter(Batching(**proof.batching)))

"""A text read as an index reads its sentences, by the model of that index."""

from ffmem.errors import InputError
from ffmem.index.indexed_model import adopt_dictionaries, adopt_proof
from ffmem.models.inputs import ModelInput, read_text
from ffmem.models.transformer import Transformer
from ffmem.options import Bos, IndexOptions
from ffmem.store.reader import Index


def read_as_indexed(model: Transformer, text: str, index: Index | None, bos: Bos | None) -> ModelInput:
    """A text as one input, with the special tokens and the length that an index was built with.

    Args:
        model: that of the index, if one is given.
        text: what is read.
        index: an index; None: the defaults of a build.
        bos: special tokens; None: as in the index.

    Raises:
        InputError: the index is of another model, or the text is empty or too long.
    """
    if index is not None:
        check_model(index, model)
    options = index.manifest.options if index else IndexOptions()
    return read_text(model, text, bos or options.bos, max_length=options.max_length)


def check_model(index: Index, model: Transformer) -> None:
    """Refuse an index of another model; let this one run as the index's proof says."""
    if index.manifest.identity.model.weights_sha256 != model.weights_hash():
        patches = index.manifest.options.patch
        flags = "".join(f" --patch {patch}" for patch in patches)
        raise InputError(
            f"{model.facts.name} has other weights than the model that {index.folder} was built from",
            f"Expected {index.manifest.identity.model.name}"
            + (f" with {len(patches)} patch{'es' if len(patches) > 1 else ''}" if patches else ""),
            f"Give that model: {index.manifest.identity.model.source}{flags}",
        )
    index.check_layers(model.cells)
    adopt_dictionaries(model, index.manifest)
    adopt_proof(model, index.manifest)

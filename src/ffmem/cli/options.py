"""What the commands with a model share: each option is defined here, once, and a model is loaded here."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

import ffmem
from ffmem.options import Dtype, check_threads

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer
    from ffmem.store.reader import Index


def check(_: Any, threads: int | None) -> None:
    """Refuse what is no number of threads, before anything is read."""
    if threads is not None:
        check_threads(threads)


ModelName = Annotated[
    str,
    Parameter(
        help="A Hugging Face id (or id@revision) or folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm."
    ),
]
"""What every command says of the model that it is given."""
Threads = Annotated[
    int,
    Parameter(
        help="Threads of the model. More than 1 help a large model on a machine with nothing else to do, and slow a small one "
        "down where other programs run; they change numbers by rounding.",
        validator=check,
    ),
]
"""What every command says of `--threads`."""
TrustCode = Annotated[
    bool, Parameter(help="Run Python code that comes with the model, where its config asks for that.", negative="")
]
"""What every command says of `--trust-remote-code`."""


@dataclass(frozen=True)
class ModelOptions:
    """Options of every command that is given a model."""

    revision: str | None = None
    """Revision of a hub model."""
    dtype: Dtype = "float32"
    """Number type of the model's weights."""
    device: str = "cpu"
    """Where the model runs."""
    threads: Threads = 1
    trust_remote_code: TrustCode = False
    architecture: str | None = None
    """The class of transformers to load it with, whatever its config says."""

    def load(self, model: str) -> "Transformer":
        """The model, and this process set up for it."""
        from ffmem.index.machine import check_device
        from ffmem.models.threads import set_threads

        set_threads(self.threads)
        check_device(self.device)
        return ffmem.load_model(
            model,
            dtype=self.dtype,
            device=self.device,
            revision=self.revision,
            trust_remote_code=self.trust_remote_code,
            architecture=self.architecture,
        )


def load_of_index(index: "Index", model: str | None, threads: int, trust_remote_code: bool) -> "Transformer | None":
    """The model of an index, and this process set up for it; None if no model was named."""
    if model is None:
        return None
    from ffmem.index.indexed_model import load_indexed_model
    from ffmem.models.threads import set_threads

    set_threads(threads)
    return load_indexed_model(index, model, trust_remote_code=trust_remote_code)

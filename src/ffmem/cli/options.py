"""What the verbs with a model share: each option is defined here, once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

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
"""What every verb says of the model that it is given."""
Revision = Annotated[str | None, Parameter(help="Revision of a hub model.")]
"""What every verb says of `--revision`."""
Threads = Annotated[
    int,
    Parameter(
        help="Threads of the model. More than 1 helps a large model on an otherwise idle machine, and slows a small one "
        "down where other programs run; they change numbers by rounding.",
        validator=check,
    ),
]
"""What every verb says of `--threads`."""
TrustCode = Annotated[
    bool, Parameter(help="Run Python code that comes with the model, where its config asks for that.", negative="")
]
"""What every verb says of `--trust-remote-code`."""


@dataclass(frozen=True)
class IndexModelOptions:
    """Options of every verb that loads the model of an index; all others stand in the index."""

    threads: Threads = 1
    trust_remote_code: TrustCode = False

    def load(self, index: "Index", model: str) -> "Transformer":
        """The model of an index, from where it is now, and this process set up for it."""
        from ffmem.cli.loading import load_indexed  # needs torch, which `ffmem promotes` without --model does not

        return load_indexed(index, model, self)


@dataclass(frozen=True)
class ModelOptions:
    """Options of every verb that is given a model."""

    revision: Revision = None
    dtype: Dtype = "float32"
    """Number type of the model's weights."""
    device: str = "cpu"
    """Where the model runs."""
    threads: Threads = 1
    trust_remote_code: TrustCode = False
    architecture: str | None = None
    """The class of transformers to load it with, regardless of its config."""

    def load(self, model: str) -> "Transformer":
        """The model, and this process set up for it."""
        from ffmem.cli.loading import load  # as above

        return load(model, self)

"""What the verbs with a model share: each option is defined here, once."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from ffmem.options import Dtype, check_threads

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer
    from ffmem.store.reader import Index


def check(_: Any, threads: int | None) -> None:
    """Refuse what is no number of threads, before anything is read."""
    if threads is not None:
        check_threads(threads)


IndexFolder = Annotated[str, Parameter(help="An index.")]
"""What every verb says of the index that it reads."""
Layers = Annotated[
    str | None, Parameter(help="Only this layer (9, L9, dec.L3), or these (10:, :5, 3:7, without the last).")
]
"""What every verb says of `--layer` where it picks cells."""
Cells = Annotated[
    str | None,
    Parameter(help="Only these cells: @NAME (a collection), L9.2997, L9.0-511, L0-L5, a share (1%); commas between."),
]
"""What every verb says of `--cells` where it reads an index."""
Save = Annotated[str | None, Parameter(help="Keep these cells, with the question, as a collection of this name.")]
"""What every verb says of `--save`."""
Out = Annotated[
    str | None, Parameter(help="Write the answer into this new file instead: all of it as .json, its cells as .csv.")
]
"""What every verb says of `--out` where it writes what it would print."""
MostCells = Annotated[int, Parameter(validator=Number(gte=0), help="At most this many cells.")]
"""What every verb that lists cells says of `--limit`."""
Text = Annotated[str, Parameter(help="Words in quotes.")]
"""What every verb says of the text that a model reads."""
KnownFrom = Annotated[str | None, Parameter(help="An index of this model: shows what each cell is known for.")]
"""What every verb says of an `--index` that it can do without."""
MovedModel = Annotated[str | None, Parameter(help="Where the model is now, if it has moved since the build.")]
"""What every verb says of `--model` where the index names the model."""
Quiet = Annotated[bool, Parameter(help="Print no progress.")]
"""What every verb says of `--quiet`."""
ModelName = Annotated[
    str,
    Parameter(
        help="A Hugging Face id (or id@revision) or folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm."
    ),
]
"""What every verb says of the model that it is given."""
KnownModel = Annotated[
    str,
    Parameter(
        help="A Hugging Face id (or id@revision) or folder, a .gguf file, fairseq:FOLDER, reference, smollm2 or minilm; or an "
        "index, whose model is asked."
    ),
]
"""The same where an index does as well."""
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
IndexDevice = Annotated[
    str | None,
    Parameter(
        help="Where the model runs; by default where the index was built, or on the CPU of a machine that lacks it."
    ),
]
"""What every verb says of `--device` where the index names the model."""
BuildThreads = Annotated[
    int | None,
    Parameter(
        help="Threads of the model, by default as many as each worker of the build had: with others, numbers agree to "
        "rounding only.",
        validator=check,
    ),
]
"""The same where the numbers of a build are made again."""
TrustCode = Annotated[
    bool, Parameter(help="Run Python code that comes with the model, where its config asks for that.", negative="")
]
"""What every verb says of `--trust-remote-code`."""


@dataclass(frozen=True)
class IndexModelOptions:
    """Options of every verb that loads the model of an index; all others stand in the index."""

    threads: Threads = 1
    device: IndexDevice = None
    trust_remote_code: TrustCode = False

    def load(self, index: "Index", model: str | None) -> "Transformer":
        """The model of an index, from where it is now (None: where it was), and this process set up for it."""
        from ffmem.cli.loading import load_indexed  # needs torch, which `ffmem promotes` without --model does not

        return load_indexed(index, model, self)


@dataclass(frozen=True)
class ModelOptions:
    """Options of every verb that is given a model."""

    revision: Revision = None
    dtype: Dtype = "float32"
    """Number type of the model's weights."""
    device: Annotated[
        str | None,
        Parameter(help="Where the model runs; by default on the CPU, and the model of an index where that was built."),
    ] = None
    threads: Threads = 1
    trust_remote_code: TrustCode = False
    architecture: str | None = None
    """The class of transformers to load it with, regardless of its config."""
    patch: tuple[str, ...] = ()
    """A file that `ffmem edit` wrote: the model is read with the values that it gives. May be given several times, in the order
    in which they were made."""

    def load(self, model: str) -> "Transformer":
        """The model, and this process set up for it."""
        from ffmem.cli.loading import load  # as above

        return load(model, self)

    def load_known(self, model: str, index: str | None = None) -> "tuple[Index | None, Transformer]":
        """The model that is given with the index beside it, if one is; or, of an index, this one and its model."""
        from ffmem.cli.loading import load_known  # as above

        return load_known(model, index, self)

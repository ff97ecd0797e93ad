"""How a model is loaded whose weights are to be streamed: in the types of its files, so that they stay memory-mapped."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import core_model_loading

from ffmem.errors import InputError
from ffmem.options import Quantize

_NAME = "_materialize_copy"


@contextmanager
def unconverted(streamed: bool = True) -> Iterator[dict[int, tuple[torch.dtype, Tensor]]]:
    """Inside, transformers leaves weights in the type that their file has.

    What is given back holds, by the address of each, the type that it would have made of it, and the weight itself, so that
    the address is no other's meanwhile.


    So the parts that are no weights (frequencies, tables of positions) are made in the type that the model runs in, as ever.
    """
    meant: dict[int, tuple[torch.dtype, Tensor]] = {}
    load = getattr(core_model_loading, _NAME, None) if streamed else None
    if load is None:  # held whole; or another version of transformers: what it converts is counted as what stays
        yield meant
        return

    def mapped(tensor: Any, device: Any = None, dtype: torch.dtype | None = None) -> Tensor:
        found: Tensor = tensor[...]
        if dtype is not None:
            meant[found.data_ptr()] = dtype, found
        return found

    setattr(core_model_loading, _NAME, mapped)
    try:
        yield meant
    finally:
        setattr(core_model_loading, _NAME, load)


def check_streamed(
    control: str | None, patches: Sequence[str | Path], quantize: Quantize, adapter: Path | None
) -> None:
    """Refuse models whose weights are made anew, or written to, once they are loaded.

    Raises:
        InputError: such a model.
    """
    made = {
        f"a control ({control}:)": control,
        "--patch": patches,
        f"--quantize {quantize}": quantize != "no",
        f"the adapter in {adapter}": adapter,
    }
    for what, given in made.items():
        if given:
            raise InputError(
                f"--model-memory is given with {what}, which makes weights that lie in no file",
                "Expected a model whose weights are read from its files as they are",
                "Leave --model-memory out, or save the model that it makes with save_pretrained and give that folder",
            )

"""Models of half precision, measured in full."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import nn

from ffmem.models.streaming.weights import stream_of

_HALF = (torch.float16, torch.bfloat16)


@contextmanager
def in_float32(module: nn.Module) -> Iterator[None]:
    """A model of half precision in float32 for a while, so that its identities hold to rounding; then as before, bit by bit."""
    stream = stream_of(module)
    held = module.parameters() if stream is None else ()
    tensors = {id(one): one for one in (*held, *module.buffers()) if one.dtype in _HALF}
    before = {key: one.data for key, one in tensors.items()}
    try:
        for one in tensors.values():
            one.data = one.data.float()
        with nullcontext() if stream is None else stream.in_float32():
            yield
    finally:
        for key, one in tensors.items():
            one.data = before[key]

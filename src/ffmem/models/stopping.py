"""Stops a pass of a model between two layers."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ffmem.models.transformer import Transformer


@contextmanager
def checked_at_layers(model: Transformer, check: Callable[[], None]) -> Iterator[None]:
    """Call ``check()`` before each layer of each pass of a model; what it raises ends the pass, and comes out of it.

    Args:
        model: any model; it is as before afterwards, whatever happens.
        check: what is called.
    """

    def hook(*_: Any) -> None:
        check()

    handles: list[Any] = []
    try:
        for place in range(model.facts.n_layers):
            handles.append(model.module_before(place).register_forward_pre_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()

"""Layers at the same time: arithmetic on arrays lets other threads run, and no number depends on when it is done."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from ffmem.index.machine import n_processors

Found = TypeVar("Found")


def of_layers(n_layers: int, work: Callable[[int], Found], on_layer: Callable[[int], None]) -> list[Found]:
    """What is found of each layer, in their order; as many at a time as there are processors.

    The first one is done alone, so that what layers share is made once.

    Args:
        n_layers: layers, by their places.
        work: finds it.
        on_layer: called with each place when it and all before it are done.
    """
    found: list[Found] = []
    for first, end in ((0, 1), (1, n_layers)):
        with ThreadPoolExecutor(n_processors()) as threads:
            for place, one in enumerate(threads.map(work, range(min(first, n_layers), min(end, n_layers))), first):
                found.append(one)
                on_layer(place)
    return found

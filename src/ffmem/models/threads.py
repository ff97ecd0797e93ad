"""How many processors torch takes for one product.

Its own choice is all of them, which on a machine where other programs run makes small products many times slower: each waits
for the thread that came last. The number is one of a thread, not of a process: a thread that was never told takes all of them.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from ffmem.options import check_threads


def set_threads(threads: int) -> None:
    """From here on, let what this thread computes take so many processors.

    Raises:
        InputError: no number of threads.
    """
    check_threads(threads)
    torch.set_num_threads(threads)


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let what this thread computes take so many processors, and put torch's number back afterwards.

    Raises:
        InputError: no number of threads.
    """
    before = torch.get_num_threads()
    set_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)

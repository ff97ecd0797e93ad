"""Passes of several batches that go through a model side by side: all through one block, then all through the next.

A pass is the model's own forward call, in a thread of its own that waits before each block until the others have come that far.
One runs at a time, so that nothing is computed at once with anything else, nor otherwise than alone; and what belongs to a pass
(the shapes that a hook has noted, the places of a batch) is what belongs to its thread.
"""

import contextvars
import ctypes
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any

import torch
from torch import nn

from ffmem.models.streaming.spill import Spill
from ffmem.models.threads import set_threads

_ARENA_MAX = -8
"""M_ARENA_MAX of glibc's malloc.h."""


def run_in_step(
    module: nn.Module,
    blocks: Sequence[nn.Module],
    passes: Sequence[Callable[[], None]],
    ended: Callable[[int], None],
    spill: Callable[[], Spill] | None = None,
) -> None:
    """Run passes side by side.

    Args:
        module: the model.
        blocks: those of its modules before which a pass waits.
        passes: what runs the model over a batch each.
        ended: told the number of each pass that has ended.
        spill: makes what moves the states of a pass that waits; by default they leave a GPU.

    Raises:
        whatever a pass raises; then no other goes on.
    """
    _use_one_heap()
    make_spill = spill or (lambda: Spill(module))
    threads = [_Pass(work, number, make_spill(), torch.get_num_threads()) for number, work in enumerate(passes)]
    try:
        with _gates(blocks):
            waiting = threads
            while waiting:
                for one in waiting:
                    one.go_on()
                    if one.has_ended:
                        ended(one.number)
                waiting = [one for one in waiting if not one.has_ended]
    finally:
        for one in threads:
            one.stop()


class _Pass(threading.Thread):
    """A pass, which runs from `go_on` to the next gate, or to its end."""

    def __init__(self, work: Callable[[], None], number: int, spill: Spill, n_threads: int) -> None:
        super().__init__(name=f"pass-{number}", daemon=True)
        self._work, self.number, self.spill, self._n_threads = work, number, spill, n_threads
        self.has_ended = self._stopped = False
        self._error: BaseException | None = None
        self._may_go, self._has_stopped = threading.Semaphore(0), threading.Semaphore(0)
        self._context = contextvars.copy_context()
        cuda: Any = torch.cuda  # which has few types
        self._device: int | None = cuda.current_device() if cuda.is_initialized() else None
        self._inference, self._with_grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()

    def go_on(self) -> None:
        """Run on, and come back when it waits or has ended; raise what it raised."""
        if not self.is_alive():
            self.start()
        self._may_go.release()
        self._has_stopped.acquire()
        if self._error is not None:
            error, self._error = self._error, None
            raise error

    def wait(self) -> None:
        """At a gate, by the pass itself: let the others come."""
        if not self._stopped:
            self._has_stopped.release()
            self._may_go.acquire()
        if self._stopped:
            raise _Stopped

    def stop(self) -> None:
        """End it where it is."""
        self._stopped = True
        if self.is_alive():
            self._may_go.release()
            self.join()

    def run(self) -> None:
        """The thread itself."""
        self._may_go.acquire()
        try:
            if not self._stopped:
                self._context.run(self._run)
        except _Stopped:
            pass
        except BaseException as error:  # noqa: BLE001 (whatever it is, the thread that waits raises it)
            self._error = error
        finally:
            self.has_ended = True
            self._has_stopped.release()

    def _run(self) -> None:
        set_threads(self._n_threads)
        with (
            torch.inference_mode(self._inference),
            torch.set_grad_enabled(self._with_grad),
            nullcontext() if self._device is None else torch.cuda.device(self._device),
        ):
            self._work()


@cache
def _use_one_heap() -> None:
    """Keep the C library from giving each thread a heap of its own, each of which would hold on to what a pass has freed."""
    if sys.platform == "linux" and hasattr(ctypes.CDLL(None), "mallopt"):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)


class _Stopped(BaseException):
    """Ends a pass that is not to go on: no error, and none that a model's code may catch."""


@contextmanager
def _gates(blocks: Sequence[nn.Module]) -> Iterator[None]:
    """Have passes wait before each block; whoever else runs the model goes through."""
    handles = [
        block.register_forward_pre_hook(_gate, with_kwargs=True, prepend=True) for block in dict.fromkeys(blocks)
    ]
    try:
        yield
    finally:
        for one in handles:
            one.remove()


def _gate(_: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    one = threading.current_thread()
    if isinstance(one, _Pass):
        one.spill.out((arguments, named))
        one.wait()
        one.spill.back()

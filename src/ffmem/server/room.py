"""A model that many clients share: loaded once in the background, asked one question at a time, by a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.server.limits import MAX_WAITING

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

Result = TypeVar("Result")


def _set_threads(threads: int) -> None:
    """In the model's own thread: torch keeps a number for each, and takes all processors in one that was never told."""
    from ffmem.models.threads import set_threads

    set_threads(threads)


class Busy(Exception):  # noqa: N818 (it says what to do, and is no error of ours)
    """Too many questions wait for the model: come back later."""


@dataclass(frozen=True)
class RoomState:
    """Whether the model can be asked."""

    state: Literal["absent", "loading", "ready", "failed"]
    name: str
    why: str
    """Why not; empty when ready."""

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return dict(self.__dict__)


class ModelRoom:
    """Holds a model, or the reason why there is none.

    Args:
        name: what the model is called.
        load: loads and checks it; None if the explorer was started without one.
        threads: processors for it.
    """

    def __init__(self, name: str, load: "Callable[[], Transformer] | None", threads: int = 1) -> None:
        self._name = name
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model", initializer=_set_threads, initargs=(threads,))
        self._n_waiting = 0
        self._loaded: Future[Transformer] | None = None if load is None else self._thread.submit(load)

    @property
    def state(self) -> RoomState:
        """As of now."""
        if self._loaded is None:
            return RoomState("absent", self._name, "the explorer was started without a model (--no-model)")
        if not self._loaded.done():
            return RoomState("loading", self._name, "the model is being loaded")
        error = self._loaded.exception()
        if error is not None:
            return RoomState("failed", self._name, str(error))
        return RoomState("ready", self._name, "")

    async def ask(self, question: "Callable[[Transformer], Result]") -> Result:
        """The answer to a question, once those before it are answered.

        Raises:
            InputError: there is no model.
            Busy: too many wait already.
        """
        loaded = self._loaded
        if loaded is None:
            state = self.state
            raise InputError(
                f"{state.name} is not available: {state.why}",
                "Expected the model that the index was built from",
                "Start the explorer with it: ffmem serve DIR --model WHERE",
            )
        if self._n_waiting >= MAX_WAITING:
            raise Busy

        def answer() -> Result:
            return question(loaded.result())

        self._n_waiting += 1
        try:
            return await asyncio.wrap_future(self._thread.submit(answer))
        finally:
            self._n_waiting -= 1

    def wait(self) -> None:
        """Until the model is loaded, or could not be."""
        if self._loaded is not None:
            with suppress(FfmemError):
                self._loaded.result()

    def close(self) -> None:
        """Drop what waits, and let the running question end."""
        self._thread.shutdown(wait=False, cancel_futures=True)

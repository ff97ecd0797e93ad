"""A model that many clients share: loaded once in the background, asked one question at a time, by a thread of its own."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from time import monotonic
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.server.limits import MAX_WAITING

if TYPE_CHECKING:
    from ffmem.server.model_questions import ModelQuestions

Result = TypeVar("Result")


class Busy(Exception):  # noqa: N818 (it says what to do, and is no error of ours)
    """Too many questions wait for the model: come back later."""


class Cancelled(Exception):  # noqa: N818 (as above)
    """Who asked took the question back."""


@dataclass(frozen=True)
class ModelState:
    """Whether the model can be asked, and what it does."""

    state: Literal["absent", "loading", "ready", "failed"]
    name: str
    why: str
    """Why not; empty when ready."""
    running: str = ""
    """The kind of question that is being answered; empty if none is."""
    seconds: float = 0.0
    """For how long it has been answered, or the model been loaded."""
    n_waiting: int = 0
    """Questions behind it."""
    n_before: int | None = None
    """Questions before the one that was asked about; 0: it is being answered; None: there is no such question."""


@dataclass(eq=False)
class _Asked:
    """A question on its way."""

    what: str
    job: str
    stop: Event = field(default_factory=Event)
    began: float | None = None
    answer: Future[Any] = field(default_factory=Future)


class ModelThread:
    """Holds a model, or the reason why there is none.

    Args:
        name: what the model is called.
        load: loads and checks it; None if the explorer was started without one.
    """

    def __init__(self, name: str, load: "Callable[[], ModelQuestions] | None") -> None:
        self._name, self._began = name, monotonic()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._asked: list[_Asked] = []
        self._loaded: Future[ModelQuestions] | None = None if load is None else self._thread.submit(load)

    @property
    def state(self) -> ModelState:
        """As of now."""
        return self.state_for("")

    def state_for(self, job: str) -> ModelState:
        """As of now, and how many questions are before the one that was asked under this name."""
        if self._loaded is None:
            return ModelState("absent", self._name, "the explorer was started without a model (--no-model)")
        asked = list(self._asked)
        n_before = next((place for place, one in enumerate(asked) if job and one.job == job), None)
        if not self._loaded.done():
            took = monotonic() - self._began
            return ModelState(
                "loading", self._name, "the model is being loaded", "", round(took, 1), len(asked), n_before
            )
        error = self._loaded.exception()
        if error is not None:
            return ModelState("failed", self._name, str(error))
        if not asked:
            return ModelState("ready", self._name, "")
        began = asked[0].began
        seconds = 0.0 if began is None else round(monotonic() - began, 1)
        return ModelState("ready", self._name, "", asked[0].what, seconds, len(asked) - 1, n_before)

    async def ask(
        self, question: "Callable[[ModelQuestions], Result]", *, what: str = "a question", job: str = ""
    ) -> Result:
        """The answer to a question, once those before it are answered.

        Args:
            question: is given the model, in its thread.
            what: its kind, for those who wait.
            job: a name that only who asks knows, to cancel it by. If who asks stops waiting, it is cancelled, too.

        Raises:
            InputError: there is no model.
            Busy: too many wait already.
            Cancelled: it was.
        """
        loaded = self._loaded
        if loaded is None:
            state = self.state
            raise InputError(
                f"{state.name} is not available: {state.why}",
                "Expected the model that the index was built from",
                "Start the explorer with it: ffmem serve DIR --model WHERE",
            )
        if len(self._asked) >= MAX_WAITING:
            raise Busy
        one = _Asked(what, job)

        def check() -> None:
            if one.stop.is_set():
                raise Cancelled

        def answer() -> Result:
            check()
            one.began = monotonic()
            questions = loaded.result()
            with questions.stopping(check):
                return question(questions)

        self._asked.append(one)
        one.answer = self._thread.submit(answer)
        one.answer.add_done_callback(lambda _: self._asked.remove(one))
        try:
            return await asyncio.wrap_future(one.answer)
        except asyncio.CancelledError:
            if one.stop.is_set():
                raise Cancelled from None
            one.stop.set()
            raise

    def cancel(self, job: str) -> bool:
        """Take a question back: one that waits is not asked, one that runs ends before its next layer.

        Returns:
            Whether there was such a question.
        """
        found = [one for one in list(self._asked) if job and one.job == job]
        for one in found:
            one.stop.set()
            one.answer.cancel()
        return bool(found)

    def wait(self) -> None:
        """Until the model is loaded, or could not be."""
        if self._loaded is not None:
            with suppress(FfmemError):
                self._loaded.result()

    def close(self) -> None:
        """Drop what waits, and let the running question end before its next layer."""
        for one in list(self._asked):
            one.stop.set()
        self._thread.shutdown(wait=False, cancel_futures=True)

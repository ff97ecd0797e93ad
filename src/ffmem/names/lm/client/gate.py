"""How many calls may be on their way at a time: fewer when the server is busy, more again when it no longer is."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_CALM = 8
"""Calls for each one that may be on its way, all well answered, before one more may."""


class Halted(Exception):  # noqa: N818 (no error: somebody wants no more calls)
    """No more calls are wanted."""


class Gate:
    """Lets calls through, at most so many at a time, and none while the server has asked to wait."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.limit = most, most
        self._clock = clock
        self._changed = threading.Condition()
        self._under_way = 0
        self._calm = 0
        self._closed_until = 0.0
        self._halved = 0
        self._halted = False

    @contextmanager
    def passage(self) -> Iterator[int]:
        """Wait until a call may be made, and count it as under way; yields what `slow_down` asks for.

        Raises:
            Halted: no more calls are wanted.
        """
        with self._changed:
            while True:
                self._check()
                wait_s = self._closed_until - self._clock()
                if wait_s <= 0 and self._under_way < self.limit:
                    break
                self._changed.wait(wait_s if wait_s > 0 else None)
            self._under_way += 1
            halved = self._halved
        try:
            yield halved
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    def slow_down(self, wait_s: float, passage: int) -> None:
        """The server is busy: half as many calls at a time, and none for so many seconds.

        Calls that were let through before it was last halved say the same thing once more, and halve nothing.
        """
        with self._changed:
            if passage == self._halved:
                self.limit = max(1, self.limit // 2)
                self._halved += 1
            self._calm = 0
            self._closed_until = max(self._closed_until, self._clock() + wait_s)

    def went_well(self) -> None:
        """A call was answered: after a number of them, one more may be under way."""
        with self._changed:
            self._calm += 1
            if self.limit < self.most and self._calm >= _CALM * self.limit:
                self.limit, self._calm = self.limit + 1, 0
                self._changed.notify_all()

    def pause(self, wait_s: float) -> None:
        """Wait outside, while others work.

        Raises:
            Halted: no more calls are wanted.
        """
        end = self._clock() + wait_s
        with self._changed:
            while (rest := end - self._clock()) > 0:
                self._check()
                self._changed.wait(rest)
            self._check()

    def halt(self) -> None:
        """Let no more calls through."""
        with self._changed:
            self._halted = True
            self._changed.notify_all()

    def _check(self) -> None:
        if self._halted:
            raise Halted

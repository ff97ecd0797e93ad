"""The last few answers about each index, so that another page of one, or a filter that is added, need not be found again."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock
from typing import Generic, Protocol, TypeVar
from weakref import WeakKeyDictionary

from ffmem.store.reader import Index

_MOST_KEPT = 24
_MOST_BYTES = 64 << 20
"""Of one kind of answers about an index, together; one that is larger is not kept."""


class _Sized(Protocol):
    @property
    def n_bytes(self) -> int:
        """In memory."""


Answer = TypeVar("Answer", bound=_Sized)


class Remembered(Generic[Answer]):
    """One kind of answers, by what was asked; for several threads."""

    def __init__(self) -> None:
        self._kept: WeakKeyDictionary[Index, OrderedDict[Hashable, Answer]] = WeakKeyDictionary()
        self._lock = Lock()

    def of(self, index: Index) -> OrderedDict[Hashable, Answer]:
        """What is kept of an index, the one that was asked for last at the end."""
        return self._kept.setdefault(index, OrderedDict())

    def get(
        self,
        index: Index,
        key: Hashable,
        make: Callable[[], Answer],
        is_whole: Callable[[Answer], bool] = lambda _: True,
    ) -> Answer:
        """The answer that is kept, or a new one, which is kept if it is whole: another one may come further the next time."""
        with self._lock:
            known = self.of(index)
            if key in known:
                known.move_to_end(key)
                return known[key]
        found = make()
        if is_whole(found):
            with self._lock:
                known[key] = found
                known.move_to_end(key)
                while len(known) > _MOST_KEPT or sum(one.n_bytes for one in known.values()) > _MOST_BYTES:
                    known.popitem(last=False)
        return found

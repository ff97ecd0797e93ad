"""Pages that were made, kept while nothing beside the index has changed, so that a hundred readers do not make each anew.

Only what reads an index is kept: pages that ask the model, and those of annotators, are made each time. What stands in an
answer depends on its address, on the visitor, and on files beside the index; all three are in the key.
"""

import os
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path

from ffmem.server.safety import App, Message, Receive, Scope, Send
from ffmem.server.sharing.visitors import VISITOR

_READING = re.compile(
    r"/|/index\.json|/cells(/[^/]+)?|/sentences/[^/]+|/search(\.json)?|/figures(/[^/]+)?|/collections(/[^/]+)?"
)
_MAY_STOP_EARLY = re.compile(rb"/|%2f", re.IGNORECASE)
"""An expression that is searched for: the answer may be as far as its time went."""
MAX_KEPT_BYTES = 64_000_000
"""Of all kept answers together."""
MAX_ANSWER_BYTES = 2_000_000
_IMMUTABLE = {"index"}
_DEPTH = 3
Key = tuple[object, ...]
Answer = tuple[Message, bytes]


class KeptAnswers:
    """Answers again what it has answered already.

    Args:
        app: makes the answers.
        state: what they depend on besides address and visitor: equal as long as they would be the same.
    """

    def __init__(self, app: App, state: Callable[[], object]) -> None:
        self._app, self._state = app, state
        self._kept: OrderedDict[Key, Answer] = OrderedDict()
        self._n_bytes = 0
        self._n_writes, self._generation = 0, 0
        self._seen: object = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, as ASGI has it."""
        if scope["type"] != "http" or scope["method"] != "GET":
            self._n_writes += 1  # two writes may leave a file with one time
            await self._app(scope, receive, send)
            self._n_writes += 1
            return
        if not _READING.fullmatch(scope["path"]) or _MAY_STOP_EARLY.search(scope["query_string"]):
            await self._app(scope, receive, send)
            return
        key = self._key(scope)
        kept = self._kept.get(key)
        if kept is not None:
            self._kept.move_to_end(key)
            await send(kept[0])
            await send({"type": "http.response.body", "body": kept[1]})
            return
        begun: list[Message] = []
        parts: list[bytes] = []

        async def noting(message: Message) -> None:
            if message["type"] == "http.response.start":
                begun.append({**message, "headers": list(message["headers"])})
            elif message["type"] == "http.response.body":
                parts.append(message.get("body", b""))
            await send(message)
            if begun and begun[0]["status"] == 200 and not message.get("more_body") and parts:
                self._keep(key, begun[0], b"".join(parts))

        await self._app(scope, receive, noting)

    def _key(self, scope: Scope) -> Key:
        accept = next((value for name, value in scope["headers"] if name == b"accept"), b"")
        return scope["path"], scope["query_string"], b"text/html" in accept, VISITOR.get(), self._now()

    def _now(self) -> int:
        """A number that grows when something has changed; then all that was kept is of no use any more."""
        seen = self._n_writes, self._state()
        if seen != self._seen:
            self._seen, self._generation, self._n_bytes = seen, self._generation + 1, 0
            self._kept.clear()
        return self._generation

    def _keep(self, key: Key, begun: Message, body: bytes) -> None:
        if len(body) > MAX_ANSWER_BYTES or key in self._kept or key[-1] != self._generation:
            return
        self._kept[key] = begun, body
        self._n_bytes += len(body)
        while self._n_bytes > MAX_KEPT_BYTES:
            self._n_bytes -= len(self._kept.popitem(last=False)[1][1])


def state_beside(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Names, times and sizes of the files beside an index that may change: labels, collections, annotations, results."""
    return tuple(sorted(_files(str(folder), _DEPTH)))


def _files(folder: str, depth: int) -> Iterator[tuple[str, int, int]]:
    try:
        with os.scandir(folder) as entries:
            for one in entries:
                if one.is_dir(follow_symlinks=False):
                    if depth > 1 and one.name not in _IMMUTABLE:
                        yield from _files(one.path, depth - 1)
                    continue
                status = one.stat()
                if one.name.endswith(("-shm", "lock")):  # readers touch them
                    continue
                yield one.path, status.st_mtime_ns, status.st_size
    except OSError:  # it goes away while it is looked at: then the next look sees that
        yield folder, -1, -1

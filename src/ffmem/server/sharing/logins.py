"""Who is logged in, and how often somebody may try: plain objects with a clock."""

import hashlib
import secrets
import time
from collections import OrderedDict, deque
from collections.abc import Callable
from threading import Lock

from ffmem.server.sharing.visitors import Visitor

SESSION_S = 7 * 24 * 3600.0
"""How long a login lasts."""
MAX_SESSIONS = 10_000
MAX_FAILURES = 10
"""Wrong tokens from one address within `WINDOW_S`; then it has to wait."""
MAX_ALL_FAILURES = 1_000
"""The same from all addresses together."""
WINDOW_S = 60.0
_MAX_ADDRESSES = 10_000
Clock = Callable[[], float]


class Sessions:
    """Logins, by what the cookie holds; of that only hashes are kept. They end with the process."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._found: OrderedDict[bytes, tuple[Visitor, float]] = OrderedDict()
        self._lock = Lock()

    def begin(self, visitor: Visitor) -> str:
        """A new login; what its cookie holds. Of too many, the oldest ends."""
        made = secrets.token_urlsafe(32)
        with self._lock:
            self._found[_hash(made)] = visitor, self._clock() + SESSION_S
            while len(self._found) > MAX_SESSIONS:
                self._found.popitem(last=False)
        return made

    def visitor(self, held: str) -> Visitor | None:
        """Whose login it is; None if it has ended or never was."""
        visitor, until = self._found.get(_hash(held), (None, 0.0))
        return visitor if self._clock() < until else None

    def end(self, held: str) -> None:
        """Log out."""
        with self._lock:
            self._found.pop(_hash(held), None)


class Attempts:
    """Wrong tokens of the last minute, by the address they came from."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._failed: OrderedDict[str, deque[float]] = OrderedDict()
        self._all: deque[float] = deque(maxlen=MAX_ALL_FAILURES)

    def wait_s(self, address: str) -> float:
        """Seconds until the address may try again; 0 if it may."""
        now = self._clock()
        longest = 0.0
        for times, most in ((self._failed.get(address, ()), MAX_FAILURES), (self._all, MAX_ALL_FAILURES)):
            recent = [one for one in times if now - one < WINDOW_S]
            if len(recent) >= most:
                longest = max(longest, recent[-most] + WINDOW_S - now)
        return longest

    def failed(self, address: str) -> None:
        """Keep in mind that a wrong token came from there."""
        now = self._clock()
        self._all.append(now)
        self._failed.setdefault(address, deque(maxlen=MAX_FAILURES)).append(now)
        self._failed.move_to_end(address)
        while len(self._failed) > _MAX_ADDRESSES:
            self._failed.popitem(last=False)


def _hash(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

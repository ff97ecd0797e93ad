"""One call over HTTP, bounded in time and size; and how long to wait before it is tried again."""

import json
import random
import re
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from ffmem.names.lm.client.address import Address, Key
from ffmem.names.lm.client.reply import MOST_BYTES
from ffmem.version import __version__

TRIES = 6
"""Of one call, while the server is busy, broken or away."""
LONGEST_WAIT_S = 600.0
"""That a server may ask for; a longer one ends the run, which can be resumed later."""
BUSY = (429, 503)
_AGAIN = (408, *BUSY)


@dataclass(frozen=True)
class Answer:
    """What came back from one call."""

    status: int | None
    """Of HTTP; None if there was no answer at all."""
    body: bytes
    retry_after: str = ""
    """As the server has said it."""
    trouble: str = ""
    """Why there was no answer, in plain words."""
    may_be_paid: bool = False
    """Whether the server may have done the work although there was no answer."""
    cut: bool = False
    """Whether the body is a beginning only, since it is too large."""
    seconds: float = 0.0

    @property
    def again(self) -> bool:
        """Whether the same call may go better later."""
        return self.status is None or self.status in _AGAIN or self.status >= 500


class Transport:
    """A connection to one server, used by many threads at a time."""

    def __init__(self, address: Address, key: Key | None, timeout_s: float, most_at_a_time: int) -> None:
        self._url, self._timeout_s, self._key = address.url, timeout_s, key
        headers = {
            "User-Agent": f"ffmem/{__version__}",
            "Accept": "application/json",
            "Accept-Encoding": "identity",  # what is packed small could be of any size
            "Content-Type": "application/json",
        }
        if key is not None:
            headers["Authorization"] = f"Bearer {key.secret}"
        self._client = httpx2.Client(
            headers=headers,
            timeout=httpx2.Timeout(timeout_s, connect=min(timeout_s, 20.0)),
            # Another address would be another host, which nobody has allowed.
            follow_redirects=False,
            verify=address.secure,  # without encryption there is nothing to verify, and certificates take 0.1 s to load
            # What goes to this machine must not go through another one.
            trust_env=not address.local,
            limits=httpx2.Limits(max_connections=most_at_a_time, max_keepalive_connections=most_at_a_time),
        )

    def call(self, path: str, body: bytes | None = None) -> Answer:
        """The answer to one call; whatever goes wrong is an answer too. The key is in none, should a server repeat it."""
        answer = self._call(path, body)
        if self._key is None:
            return answer
        hidden = answer.body.replace(self._key.secret.encode(), b"***")
        return replace(answer, body=hidden, trouble=self._key.hidden_in(answer.trouble))

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()

    def _call(self, path: str, body: bytes | None) -> Answer:
        begin = time.monotonic()
        try:
            with self._client.stream("GET" if body is None else "POST", self._url + path, content=body) as response:
                text, cut = self._read(response, begin + self._timeout_s)
                return Answer(
                    response.status_code,
                    text,
                    retry_after=response.headers.get("retry-after", ""),
                    cut=cut,
                    seconds=time.monotonic() - begin,
                )
        except httpx2.ConnectTimeout:
            return Answer(None, b"", trouble="no connection in time", seconds=time.monotonic() - begin)
        except httpx2.TimeoutException:
            trouble = f"no answer within {self._timeout_s:g} s"
            return Answer(None, b"", trouble=trouble, may_be_paid=True, seconds=time.monotonic() - begin)
        except (httpx2.ConnectError, httpx2.ProxyError) as error:
            return Answer(None, b"", trouble=f"no connection ({_plain(error)})", seconds=time.monotonic() - begin)
        except httpx2.TransportError as error:
            trouble = f"the connection broke ({_plain(error)})"
            return Answer(None, b"", trouble=trouble, may_be_paid=True, seconds=time.monotonic() - begin)

    def _read(self, response: httpx2.Response, end: float) -> tuple[bytes, bool]:
        parts, n_bytes = [], 0
        for part in response.iter_raw():
            parts.append(part)
            n_bytes += len(part)
            if n_bytes > MOST_BYTES:
                return b"".join(parts)[:MOST_BYTES], True
            if time.monotonic() > end:  # a byte now and then would keep each single wait short
                raise httpx2.ReadTimeout("too slow")
        return b"".join(parts), False


def with_true_status(answer: Answer) -> Answer:
    """The same, where a gateway has said "200" and written an error with another status into the body."""
    if answer.status != 200 or answer.cut or b'"choices"' in answer.body or b'"error"' not in answer.body:
        return answer
    try:
        status = json.loads(answer.body)["error"]["code"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return answer
    is_status = isinstance(status, int) and not isinstance(status, bool) and 400 <= status < 600
    return replace(answer, status=status) if is_status else answer


def wait_s(n_tries: int, answer: Answer, first_s: float = 1.0, now: datetime | None = None) -> float:
    """How long to wait before a call is tried again.

    What the server asks for, in seconds or as a date; else 1, 2, 4, 8, 16 s, each half to one and a half times as long.

    Args:
        n_tries: that were made so far, from 1.
        answer: to the last of them.
        first_s: the first wait.
        now: the time; None: of the clock.
    """
    asked = asked_wait_s(answer.retry_after, now or now_utc())
    return first_s * 2 ** (n_tries - 1) * random.uniform(0.5, 1.5) if asked is None else asked


def asked_wait_s(retry_after: str, now: datetime) -> float | None:
    """Seconds that a header asks to wait, which has a number or a date in it; None if it has neither."""
    text = retry_after.strip()
    if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{0,9})?", text):
        return float(text)
    try:
        date = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return max(0.0, (date - now).total_seconds())


def now_utc() -> datetime:
    """The time, where dates of servers are read."""
    return datetime.now(UTC)


def _plain(error: Exception) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(error)).split())[:200] or type(error).__name__

"""How many tokens texts have and how long they take, learnt from calls that were answered."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.json_values import Record
from ffmem.names.lm.client.cache import StoredReply
from ffmem.names.lm.client.capabilities import Capabilities

ENOUGH = 8
"""Answered calls from which more is learnt than from none."""
_BYTES_PER_TOKEN = 4


@dataclass(frozen=True)
class Pace(Record):
    """How many tokens texts have, and how long they take."""

    tokens_per_call: float = 0.0
    tokens_per_byte: float = 1 / _BYTES_PER_TOKEN
    s_per_token_in: float | None = None
    """None: not known."""
    s_per_token_out: float | None = None
    tokens_by: str = "bytes / 4"
    """Where the number of tokens is known from."""
    times_by: str = ""
    """Where the times are known from; empty where they are not."""

    def tokens(self, n_bytes: int) -> float:
        """Of a prompt with a text of so many bytes."""
        return self.tokens_per_call + self.tokens_per_byte * n_bytes

    def seconds(self, tokens_in: float, tokens_out: float) -> float | None:
        """That so many tokens take, one call after the other; None if not known."""
        if self.s_per_token_in is None or self.s_per_token_out is None:
            return None
        return self.s_per_token_in * tokens_in + self.s_per_token_out * tokens_out


def pace(found: Capabilities | None, answered: Sequence[StoredReply]) -> Pace:
    """What is known of a server: from enough answered calls, else from what was measured with tiny calls, else nothing.

    Args:
        found: what was measured of it, if anything was.
        answered: calls that it answered before.
    """
    counted = [one for one in answered if one.counted]
    per_call, per_byte, tokens_by = 0.0, 1 / _BYTES_PER_TOKEN, "bytes / 4"
    if len(counted) >= ENOUGH:
        per_call, per_byte = _not_below_zero(
            [(1.0, one.n_bytes_in) for one in counted], [one.tokens_in for one in counted]
        )
        tokens_by = f"the server's counts in {len(counted):,} calls"
    elif found is not None and found.tokens_per_call is not None and found.tokens_per_byte is not None:
        per_call, per_byte, tokens_by = (
            found.tokens_per_call,
            found.tokens_per_byte,
            "the server's counts in two tiny calls",
        )
    if len(answered) >= ENOUGH:
        per_in, per_out = seconds_per_token([(one.tokens_in, one.tokens_out, one.seconds) for one in answered])
        return Pace(per_call, per_byte, per_in, per_out, tokens_by, f"{len(answered):,} calls")
    if found is not None and found.s_per_token_in is not None:
        return Pace(per_call, per_byte, found.s_per_token_in, found.s_per_token_out, tokens_by, "two tiny calls")
    return Pace(per_call, per_byte, tokens_by=tokens_by)


def seconds_per_token(calls: Sequence[tuple[int, int, float]]) -> tuple[float, float]:
    """How long a token takes that is read, and one that is written: least squares, neither below 0.

    Args:
        calls: tokens read, tokens written and seconds of each.
    """
    return _not_below_zero([call[:2] for call in calls], [call[2] for call in calls])


def _not_below_zero(two: Sequence[tuple[float, float]], wanted: Sequence[float]) -> tuple[float, float]:
    """The two factors of least squares; where one would be negative it is 0, and the other fitted alone."""
    columns, target = np.asarray(two, dtype=np.float64), np.asarray(wanted, dtype=np.float64)
    first, second = np.linalg.lstsq(columns, target, rcond=None)[0]
    if first >= 0 and second >= 0:
        return float(first), float(second)
    alone = []
    for column in columns.T:
        square = float(column @ column)
        factor = max(0.0, float(column @ target) / square) if square else 0.0
        alone.append((float(np.sum((target - factor * column) ** 2)), factor))
    return (alone[0][1], 0.0) if alone[0][0] < alone[1][0] else (0.0, alone[1][1])

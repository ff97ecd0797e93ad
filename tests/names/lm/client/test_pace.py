import numpy as np
import pytest

from ffmem.names.lm.client.cache import StoredReply
from ffmem.names.lm.client.capabilities import Capabilities
from ffmem.names.lm.client.pace import Pace, pace, seconds_per_token

PROBED = Capabilities(tokens_per_call=12.0, tokens_per_byte=0.3, s_per_token_in=0.001, s_per_token_out=0.05)


def answered(n: int, counted: bool = True) -> list[StoredReply]:
    """Calls of 7 tokens besides the text, a token for 5 bytes, 2 ms for each read and 40 ms for each written."""
    random = np.random.default_rng(0)
    calls = []
    for _ in range(n):
        n_bytes, n_out = int(random.integers(20, 900)) * 5, int(random.integers(1, 60))
        n_in = 7 + n_bytes // 5
        calls.append(StoredReply(b"", "", n_bytes, n_in, n_out, counted, 0.002 * n_in + 0.04 * n_out, "label"))
    return calls


def test_enough_calls_tell_more_than_two_tiny_ones() -> None:
    learnt = pace(PROBED, answered(30))
    assert (learnt.tokens_per_call, learnt.tokens_per_byte) == pytest.approx((7.0, 0.2))
    assert (learnt.s_per_token_in, learnt.s_per_token_out) == pytest.approx((0.002, 0.04))
    assert learnt.tokens(1000) == pytest.approx(207) and learnt.seconds(1000, 10) == pytest.approx(2.4)
    assert (learnt.tokens_by, learnt.times_by) == ("the server's counts in 30 calls", "30 calls")


def test_what_was_measured_is_better_than_nothing() -> None:
    few = pace(PROBED, answered(7))
    assert few.tokens(100) == pytest.approx(42) and few.seconds(1000, 10) == pytest.approx(1.5)
    assert pace(None, answered(7)) == Pace()
    assert Pace().tokens(100) == 25 and Pace().seconds(1, 1) is None


def test_tokens_that_the_server_did_not_count_teach_nothing_but_times_do() -> None:
    learnt = pace(PROBED, answered(30, counted=False))
    assert learnt.tokens(100) == pytest.approx(42) and learnt.s_per_token_out == pytest.approx(0.04)


@pytest.mark.parametrize(
    ("calls", "factors"),
    [
        ([(20, 1, 0.2), (100, 21, 4.2)], (0.0, 0.2)),  # all of the time goes into writing
        ([(100, 1, 1.0), (300, 2, 3.0)], (0.01, 0.0)),  # all of it into reading
        ([(10, 5, 3.0)], None),  # one call alone cannot tell them apart: what it took comes out
        ([(0, 0, 1.0), (0, 0, 1.0)], (0.0, 0.0)),
        ([(10, 30, 1.0), (20, 10, 4.0)], (0.18, 0.0)),  # writing would take less than no time
    ],
)
def test_no_token_takes_less_than_no_time(
    calls: list[tuple[int, int, float]], factors: tuple[float, float] | None
) -> None:
    found = seconds_per_token(calls)
    if factors is None:
        assert found[0] * 10 + found[1] * 5 == pytest.approx(3.0)
    else:
        assert found == pytest.approx(factors, abs=1e-9)

import time
from contextlib import closing
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.names.lm.client.address import Key, parse_address
from ffmem.names.lm.client.transport import Answer, Transport, asked_wait_s, wait_s, with_true_status
from tests.fixtures.stand_in import StandIn

NOW = datetime(2030, 5, 1, 12, 0, tzinfo=UTC)
BODY = b'{"model": "m", "messages": [{"role": "user", "content": "x"}], "max_tokens": 3}'


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7.0), (" 0 ", 0.0), ("1.5", 1.5), ("Wed, 01 May 2030 12:01:30 GMT", 90.0),
        ("Wed, 01 May 2030 11:00:00 GMT", 0.0), ("Wed, 01 May 2030 12:00:05", 5.0),
        ("", None), ("soon", None), ("-3", None), ("inf", None), ("nan", None), ("1e9", None), ("9" * 40, None), ("²", None),
        ("Wed, 99 May 2030 12:00:00 GMT", None),
    ],
)  # fmt: skip
def test_a_header_that_asks_to_wait(header: str, seconds: float | None) -> None:
    assert asked_wait_s(header, NOW) == seconds


@given(st.integers(0, 10**6))
def test_a_date_asks_for_the_seconds_until_then(seconds: int) -> None:
    assert asked_wait_s(format_datetime(NOW + timedelta(seconds=seconds), usegmt=True), NOW) == seconds


@given(st.text(max_size=30))
def test_no_header_breaks_it(header: str) -> None:
    found = asked_wait_s(header, NOW)
    assert found is None or found >= 0


def test_else_each_wait_is_about_twice_the_last() -> None:
    answer = Answer(500, b"")
    waits = [[wait_s(n, answer) for _ in range(100)] for n in (1, 2, 3, 4, 5)]
    for n, found in enumerate(waits):
        assert 2**n * 0.5 <= min(found) < max(found) <= 2**n * 1.5  # not all the same
    assert wait_s(5, Answer(429, b"", retry_after="3")) == 3


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"error": {"code": 429, "message": "x"}}', 429), (b'{"error": {"code": "429"}}', 200), (b'{"error": "x"}', 200),
        (b'{"error": {"code": true}}', 200), (b'{"error": {"code": 200}}', 200), (b'"error"', 200),
        (b'{"choices": [], "error": {"code": 429}}', 200),
    ],
)  # fmt: skip
def test_an_error_under_the_status_of_an_answer(body: bytes, status: int) -> None:
    assert with_true_status(Answer(200, body)).status == status


def call(stand_in: StandIn, *, timeout_s: float = 5.0, key: Key | None = None, body: bytes = BODY) -> Answer:
    with closing(Transport(parse_address(stand_in.url), key, timeout_s, 2)) as client:
        return client.call("/chat/completions", body)


def test_the_largest_body_is_not_read_to_its_end(stand_in: StandIn) -> None:
    stand_in.faults = ["10 MB", ""]
    with closing(Transport(parse_address(stand_in.url), None, 5.0, 1)) as client:
        answer = client.call("/chat/completions", BODY)
        assert answer.cut and len(answer.body) == 10_000_000
        assert client.call("/chat/completions", BODY).status == 200, "the next call has a connection of its own"


@pytest.mark.parametrize("fault", ["slow", "drip"])
def test_a_call_ends_in_time_also_if_bytes_come_now_and_then(stand_in: StandIn, fault: str) -> None:
    stand_in.faults = [fault]
    begin = time.monotonic()
    answer = call(stand_in, timeout_s=0.15)
    assert time.monotonic() - begin < 3  # the stand-in would go on for longer
    assert (answer.status, answer.trouble, answer.may_be_paid) == (None, "no answer within 0.15 s", True)


def test_what_breaks_may_have_been_paid_and_what_never_began_was_not(stand_in: StandIn) -> None:
    stand_in.faults = ["cut"]
    broken = call(stand_in)
    assert broken.status is None and broken.may_be_paid and "connection broke" in broken.trouble and broken.again
    with closing(Transport(parse_address("http://127.0.0.1:9/v1"), None, 5.0, 1)) as client:
        nobody = client.call("/models")
    assert nobody.status is None and not nobody.may_be_paid and "no connection" in nobody.trouble


def test_no_other_address_is_followed(stand_in: StandIn) -> None:
    stand_in.faults = ["moved"]
    answer = call(stand_in)
    assert answer.status == 307 and not answer.again and stand_in.n_calls == 1


def test_the_key_goes_to_the_server_and_comes_back_from_nowhere(stand_in: StandIn) -> None:
    stand_in.character = lambda body: "your key is s3cret-key"
    answer = call(stand_in, key=Key("s3cret-key", "X"), body=BODY.replace(b": 3", b": 30"))
    assert stand_in.headers[0]["authorization"] == "Bearer s3cret-key"
    assert b"s3cret-key" not in answer.body and b"***" in answer.body


def test_nothing_for_this_machine_goes_through_another(stand_in: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    assert call(stand_in).status == 200

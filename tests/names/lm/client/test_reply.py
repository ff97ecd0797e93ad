import json
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.names.lm.client.reply import (
    Reply,
    choice_probabilities,
    estimated_tokens,
    json_object,
    read_reply,
    server_words,
)

# As llama.cpp's server wrote it.
LLAMA_CPP = b"""{"choices":[
{"finish_reason":"length","index":0,"message":{"role":"assistant","content":"1"},"logprobs":{"content":[
{"id":33,"token":"1","bytes":[49],"logprob":-0.2231435513,"top_logprobs":[
{"id":33,"token":"1","bytes":[49],"logprob":-0.2231435513},
{"id":32,"token":"0","bytes":[48],"logprob":-2.302585093},{"id":220,"token":" 1","bytes":[32,49],"logprob":-2.995732274}]}]}}],
"created":1,"model":"m","system_fingerprint":"b1","object":"chat.completion","usage":{"completion_tokens":1,"prompt_tokens":42,
"total_tokens":43},"id":"x","timings":{"prompt_n":42}}"""


def test_an_answer_as_a_server_wrote_it() -> None:
    reply = read_reply(LLAMA_CPP, 100)
    assert (reply.text, reply.tokens_in, reply.tokens_out, reply.finish_reason) == ("1", 42, 1, "length")
    assert reply.counted and not reply.failure
    # the token with a space before it is the same answer: (.8 + .05) / (.8 + .05 + .1)
    assert choice_probabilities(reply, ("0", "1")) == pytest.approx({"0": 0.1 / 0.95, "1": 0.85 / 0.95})


def thinking(content: str, tokens: list[str], **more: str) -> Reply:
    told = [{"token": token, "logprob": -0.1, "top_logprobs": [{"token": token, "logprob": -0.1}]} for token in tokens]
    choice = {"message": {"content": content} | more, "logprobs": {"content": told}, "finish_reason": "stop"}
    return read_reply(json.dumps({"choices": [choice]}).encode(), 1)


def test_what_a_model_thinks_is_not_its_answer() -> None:
    reply = thinking("<think>\n1 seems too easy</think>\n\n0", ["<think>", "1", " seems", "</think>", "\n\n", "0"])
    assert (reply.text, reply.failure) == ("0", "")
    assert choice_probabilities(reply, ("0", "1")) == {"0": 1.0, "1": 0.0}
    # its end in pieces: then nothing is known of the answer's probabilities, and the answer itself counts
    pieces = thinking("<think>1</think>0", ["<think>", "1", "</", "think", ">", "0"])
    assert pieces.token_probabilities == () and choice_probabilities(pieces, ("0", "1")) == {"0": 1.0, "1": 0.0}


@pytest.mark.parametrize(
    ("content", "more"), [("<think>1 or 0? Let", {}), ("<think>", {}), ("", {"reasoning_content": "1 or 0?"})]
)
def test_a_model_that_is_cut_off_while_it_thinks_has_said_nothing(content: str, more: dict[str, str]) -> None:
    reply = thinking(content, ["<think>", "1"], **more)
    assert "still thinking" in reply.failure and choice_probabilities(reply, ("0", "1")) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["choices", "message", "content", "logprobs", "usage", "token", "logprob", "top_logprobs"]), inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=60)
@given(JSON, st.sampled_from(["", "choice", "message", "logprobs", "usage"]))
def test_whatever_a_server_answers_is_a_reply_or_a_failed_one(value: Any, place: str) -> None:
    message = {"content": "1"}
    body = {
        "": value,
        "choice": {"choices": [value]},
        "message": {"choices": [{"message": value}]},
        "logprobs": {"choices": [{"message": message, "logprobs": {"content": value}}]},
        "usage": {"choices": [{"message": message}], "usage": value},
    }[place]
    reply = read_reply(json.dumps(body).encode(), 9)
    if place in ("logprobs", "usage"):
        assert reply.text == "1" and not reply.failure
    assert reply.failure or isinstance(reply.text, str)
    assert (reply.tokens_in >= 0) and (reply.tokens_out >= 0)
    for position in reply.token_probabilities:
        assert all(0 <= p <= 1 for p in position.probabilities.values())


@given(st.binary(max_size=50))
def test_whatever_bytes_a_server_answers_are_a_failed_reply(body: bytes) -> None:
    reply = read_reply(body, 9)
    assert reply.failure and reply.text == "" and reply.failure.isprintable()


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b"", "the answer is empty"),
        (b"<!DOCTYPE html><p>", "the answer is a web page, not JSON"),
        (b'{"choices": [{"mess', "cut off or damaged"),
        (b"Sure!\x1b[31m", r"not JSON: Sure! \[31m"),
        (b'{"choices": []}', "no choices with a message"),
        (b'{"error": "out of memory"}', "no choices with a message: out of memory"),
        (b"[" * 100_000, "damaged"),
    ],
)
def test_a_failed_reply_says_why(body: bytes, failure: str) -> None:
    with pytest.raises(AssertionError, match=failure):
        raise AssertionError(read_reply(body, 9).failure)
    assert read_reply(b"{}", 9, cut=True).failure == "the answer has more than 10 MB"


def test_tokens_that_nobody_counted_are_a_quarter_of_the_bytes() -> None:
    reply = read_reply(b'{"choices": [{"message": {"content": "\\u00e4bc"}}]}', 1000)
    assert (reply.tokens_in, reply.tokens_out, reply.counted) == (250, 1, False)
    assert [estimated_tokens(n) for n in (0, 1, 4, 5)] == [0, 1, 1, 2]


def said(text: str) -> Reply:
    return Reply(text, (), 1, 1, "stop")


@pytest.mark.parametrize(
    ("text", "one"),
    [
        ("1", 1.0), (" 0\n", 0.0), ('"1".', 1.0), ("**0**", 0.0), ("The answer is 1.", 1.0), ("Answer: 0", 0.0),
        # neither, or both, or inside another word
        ("", None), ("yes", None), ("0 or 1", None), ("10", None), ("x1", None), ("-", None),
    ],
)  # fmt: skip
def test_without_probabilities_an_answer_is_certain_or_none(text: str, one: float | None) -> None:
    found = choice_probabilities(said(text), ("0", "1"))
    assert (found and found["1"]) == one


def logprobs(*positions: tuple[str, dict[str, float]]) -> Reply:
    content = [
        {"token": token, "logprob": math.log(told[token]), "top_logprobs": [
            {"token": other, "logprob": math.log(p)} for other, p in told.items()
        ]} for token, told in positions
    ]  # fmt: skip
    body = {
        "choices": [
            {"message": {"content": "".join(token for token, _ in positions)}, "logprobs": {"content": content}}
        ]
    }
    return read_reply(json.dumps(body).encode(), 1)


def test_the_answer_token_is_the_first_that_is_one_of_the_choices() -> None:
    reply = logprobs(
        ("Answer", {"Answer": 0.6, "1": 0.4}), (":", {":": 1.0}), (" 0", {" 0": 0.5, "1": 0.25, "x": 0.25})
    )
    assert choice_probabilities(reply, ("0", "1")) == pytest.approx({"0": 2 / 3, "1": 1 / 3})


def test_where_something_else_was_written_the_first_token_could_have_been_an_answer() -> None:
    told = {"No": 0.9, " 1": 0.03, "0": 0.01}
    assert choice_probabilities(logprobs(("No", told)), ("0", "1")) == pytest.approx({"0": 0.25, "1": 0.75})
    assert choice_probabilities(logprobs(("No", {"No": 0.9})), ("0", "1")) is None
    both = logprobs(("0 or", {"0 or": 0.9, "1": 0.1}), (" 1", {" 1": 1.0}))
    assert choice_probabilities(both, ("0", "1")) == {"0": 0.0, "1": 1.0}, "the first token that is an answer"


def test_parts_of_characters_that_look_alike_count_as_the_likeliest() -> None:
    content = [{"token": "\ufffd", "logprob": -1.0, "top_logprobs": [
        {"token": "\ufffd", "logprob": -1.0}, {"token": "\ufffd", "logprob": -3.0}
    ]}]  # fmt: skip
    body = {"choices": [{"message": {"content": "\ufffd"}, "logprobs": {"content": content}}]}
    (position,) = read_reply(json.dumps(body).encode(), 1).token_probabilities
    assert position.probabilities == {"\ufffd": pytest.approx(math.exp(-1))}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"label": "a"}', {"label": "a"}),
        ('```json\n{"label": "a {b}"}\n```', {"label": "a {b}"}),
        ('Sure! {"label": {"x": 1}} Is that right?', {"label": {"x": 1}}),
        ('The form is {label} so: {"label": "a"}', {"label": "a"}),
        ('{"label": "a"} or {"label": "b"}', None),
        ('{"label": "a', None), ('["label"]', None), ('"label"', None), ("", None),
        ("{" * 100_000, None), ("[" * 100_000, None),
    ],
)  # fmt: skip
def test_one_object_is_found_in_prose_and_none_where_there_are_two(text: str, found: object) -> None:
    assert json_object(text) == found


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b'{"error": {"message": "no\\nsuch model", "code": 404}}', "no such model"),
        (b'{"error": "bad"}', "bad"), (b'{"message": "bad"}', "bad"), (b'{"detail": "Not Found"}', "Not Found"),
        (b"plain \x1b[2J text", "plain [2J text"), (b"", "(nothing)"), (b"[1]", "[1]"), (b"\xff", "\ufffd"),
        (b"x" * 1000, "x" * 299 + "…"),
    ],
)  # fmt: skip
def test_the_words_of_a_server_are_one_short_line(body: bytes, words: str) -> None:
    assert server_words(body) == words

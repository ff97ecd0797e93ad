import json

import pytest

from ffmem.names.lm.client.capabilities import Capabilities
from ffmem.names.lm.client.request import Request, request_body, request_identity

CHAT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "Wörter"})


def body(request: Request, **found: object) -> dict[str, object]:
    return dict(json.loads(request_body(request, "m", Capabilities(**found))))  # type: ignore[arg-type]


def test_a_body_has_all_that_is_asked_for() -> None:
    assert body(Request(CHAT, 40, 7, json=True, purpose="label", seed=3)) == {
        "model": "m", "messages": list(CHAT), "max_tokens": 40, "stream": False, "temperature": 0, "seed": 3,
        "logprobs": True, "top_logprobs": 7, "response_format": {"type": "json_object"},
    }  # fmt: skip


def test_a_body_has_nothing_that_the_server_refuses() -> None:
    refused = dict.fromkeys(("temperature", "seed", "logprobs", "response_format"), "refused")
    assert body(Request(CHAT, 40, 7, json=True), max_tokens="max_completion_tokens", system=False, **refused) == {
        "model": "m", "messages": [{"role": "user", "content": "Be brief.\n\nWörter"}], "max_completion_tokens": 40,
        "stream": False,
    }  # fmt: skip
    assert body(Request(CHAT, 1, 20), top_logprobs=5)["top_logprobs"] == 5
    assert "logprobs" not in body(Request(CHAT, 1)) and "logprobs" not in body(Request(CHAT, 1, 5), logprobs="ignored")


def test_a_system_message_without_a_user_becomes_one() -> None:
    alone = Request(({"role": "system", "content": "Be brief."},), 1)
    assert body(alone, system=False)["messages"] == [{"role": "user", "content": "Be brief."}]


def test_half_characters_of_a_corpus_are_sent_as_escapes() -> None:
    sent = request_body(Request(({"role": "user", "content": "a\ud800b"},), 1), "m", Capabilities())
    assert b"\\ud800" in sent and json.loads(sent)["messages"][0]["content"] == "a\ud800b"


def test_the_size_is_that_of_the_text() -> None:
    assert Request(CHAT, 1).n_bytes == len("Be brief.") + len("Wörter".encode())


@pytest.mark.parametrize(
    ("url", "text", "max_tokens", "seed"),
    [("http://b/v1", "x", 1, 0), ("http://a/v1", "y", 1, 0), ("http://a/v1", "x", 2, 0), ("http://a/v1", "x", 1, 1)],
)
def test_calls_that_differ_are_told_apart(url: str, text: str, max_tokens: int, seed: int) -> None:
    def identity(url: str, text: str, max_tokens: int, seed: int) -> str:
        request = Request(({"role": "user", "content": text},), max_tokens)
        return request_identity(url, request_body(request, "m", Capabilities(seed="refused")), seed)

    first = identity("http://a/v1", "x", 1, 0)
    assert first == identity("http://a/v1", "x", 1, 0) != identity(url, text, max_tokens, seed)

from typing import Any

import pytest

from ffmem import InputError
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.names.lm.client.capabilities import Capabilities
from ffmem.names.lm.client.pace import pace
from ffmem.names.lm.client.probe import probe
from ffmem.names.lm.client.request import Request
from tests.fixtures.stand_in import StandIn, always
from tests.names.lm.conftest import Connect


def small_model(body: dict[str, Any]) -> str:
    return '{"topic": "lighthouses"}' if "response_format" in body else "482913"


def measure(connect: Connect, stand_in: StandIn) -> Capabilities:
    stand_in.character = small_model
    server = connect(stand_in)
    found = probe(server)
    assert server.capabilities == found == server.cache.capabilities(stand_in.url, "model")
    return found


def test_a_server_that_does_all_is_asked_three_times(connect: Connect, stand_in: StandIn) -> None:
    found = measure(connect, stand_in)
    assert found.sentences() == [] and found.logprobs == "yes" and found.response_format == "yes"
    assert (stand_in.n_calls, stand_in.n_listed) == (3, 1)
    # what the next one knows before it asks anything
    assert connect(stand_in).capabilities == found


@pytest.mark.parametrize(
    ("settings", "known"),
    [
        ({"refuses": {"seed"}}, {"seed": "refused", "temperature": "unknown", "logprobs": "yes"}),
        ({"refuses": {"temperature", "max_tokens"}}, {"temperature": "refused", "max_tokens": "max_completion_tokens"}),
        ({"refuses": {"logprobs"}}, {"logprobs": "refused", "seed": "unknown"}),
        ({"most_logprobs": 5}, {"logprobs": "yes", "top_logprobs": 5}),
        ({"most_logprobs": 0}, {"logprobs": "refused"}),
        ({"ignores": {"logprobs"}}, {"logprobs": "ignored"}),
        ({"refuses": {"response_format"}}, {"response_format": "refused", "system": True}),
        ({"refuses": {"system"}}, {"response_format": "yes", "system": False}),
        ({"refuses": {"system", "response_format"}}, {"response_format": "refused", "system": False}),
        ({"ignores": {"usage"}}, {"counts_tokens": False, "tokens_per_byte": None}),
    ],
)
def test_what_a_server_refuses_or_passes_over_is_found_and_no_more_asked_of_it(
    settings: dict[str, Any], known: dict[str, Any], connect: Connect, stand_in: StandIn
) -> None:
    for name, value in settings.items():
        setattr(stand_in, name, value)
    found = measure(connect, stand_in)
    assert {name: getattr(found, name) for name in known} == known
    chat = ({"role": "system", "content": "Judge."}, {"role": "user", "content": "Is it so?"})
    reply = connect(stand_in).reply_to(Request(chat, 1, 20, json=True))
    assert not reply.failure, "a call with all fields goes through, as the server has it"


@pytest.mark.parametrize(
    ("text", "followed"),
    [
        ("The topic is lighthouses.", "ignored"),
        ("The topic of this long and winding passage " * 3, "ignored"),
        ('{"topic": "' + "lighthouses of the coast, " * 9, "unknown"),  # JSON so far, and it had no room for the rest
    ],
)
def test_an_answer_that_is_no_json_is_seen(text: str, followed: str, connect: Connect, stand_in: StandIn) -> None:
    stand_in.character = always(text)
    assert probe(connect(stand_in)).response_format == followed


def test_a_server_that_answers_differently_each_time_is_seen(connect: Connect, stand_in: StandIn) -> None:
    stand_in.character = lambda body: f"{len(stand_in.bodies)}00000"
    assert probe(connect(stand_in)).repeatable is False


def test_tokens_are_as_the_server_counts_them(connect: Connect, stand_in: StandIn) -> None:
    measure(connect, stand_in)
    text = "The keeper of the light rowed out to the wreck before dawn, and brought two sailors home alive. " * 8
    server = connect(stand_in)
    reply = server.ask([{"role": "user", "content": text}], 1)
    assert pace(server.capabilities, []).tokens(len(text)) == pytest.approx(reply.tokens_in, rel=0.15)
    assert server.tokens_in(len(text)) >= reply.tokens_in, "what is set aside of a budget is enough"


@pytest.mark.parametrize("refused", ["model", "messages"])
def test_a_server_that_refuses_all_is_told_in_its_words(connect: Connect, stand_in: StandIn, refused: str) -> None:
    stand_in.refuses = {refused}
    with pytest.raises(InputError, match=f"refuses: status 400, Unsupported parameter: {refused}"):
        probe(connect(stand_in))


def test_nothing_of_a_corpus_is_sent_and_a_busy_server_is_waited_for(connect: Connect, stand_in: StandIn) -> None:
    stand_in.faults = ["429", "503", "", "429"]
    measure(connect, stand_in)
    assert stand_in.n_calls == 3 + 3
    assert all("lighthouse" in prompt or "random words" in prompt for prompt in stand_in.prompts())


def test_no_file_is_needed_but_the_cache(connect: Connect, stand_in: StandIn, tmp_path: Any) -> None:
    measure(connect, stand_in)
    assert {path.name.split(".")[0] for path in tmp_path.iterdir()} == {"label_cache"}
    assert ReplyCache(tmp_path / "label_cache.sqlite").capabilities(stand_in.url, "other") is None

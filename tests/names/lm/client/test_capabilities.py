import json

from ffmem.json_values import json_text
from ffmem.names.lm.client.capabilities import Capabilities, capabilities_from_json

GOOD = Capabilities(listed=True, repeatable=True, response_format="yes", counts_tokens=True)


def test_a_server_that_does_all_has_nothing_to_tell() -> None:
    assert GOOD.sentences() == []


def test_what_falls_short_is_told() -> None:
    poor = Capabilities(
        temperature="refused", logprobs="ignored", response_format="refused", system=False, max_tokens_kept=False
    )
    told = "\n".join(poor.sentences())
    for words in (
        "not list",
        "certain (0 or 1)",
        "differ from call to call",
        "held to JSON",
        "no system",
        "more tokens",
        "by 4",
    ):
        assert words in told
    assert len(poor.sentences()) == 7


def test_they_come_back_from_json_also_of_another_version() -> None:
    stored = json.loads(json_text(GOOD))
    assert capabilities_from_json(stored | {"of_a_later_version": 1}) == GOOD
    assert capabilities_from_json({"seed": "refused"}).seed == "refused"

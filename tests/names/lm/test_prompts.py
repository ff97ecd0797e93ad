import json

import pytest

from ffmem.names.lm import prompts
from ffmem.names.lm.client.reply import Reply, TokenProbabilities, failed_reply
from ffmem.names.lm.examples import Example, QuadrantShown, Shown
from ffmem.names.lm.items import Intruder, Item, Sentence

SHOWN = Shown(
    (Example(1, '"a ⟦b⟧"', 10),), (Example(2, '"c ⟦d⟧"', 3),), (Example(3, '"e ⟦f⟧"', 0, "the same last token"),),
    (" up", "\n"), (" down",), (QuadrantShown("gate + up +", 1200, (Example(4, '"g ⟦h⟧"', 5),)),
                                QuadrantShown("gate - up +", 3, ())),
)  # fmt: skip


def reply(text: str, *positions: tuple[str, dict[str, float]]) -> Reply:
    return Reply(text, tuple(TokenProbabilities(token, chances) for token, chances in positions), 1, 1, "stop")


def test_the_labeller_is_told_what_is_text_what_is_output_and_of_which_sign() -> None:
    request = prompts.label_request(SHOWN, -1, gated=True)
    user = request.messages[1]["content"]
    order = ['10: "a ⟦b⟧"', '3: "c ⟦d⟧"', "gate + up +: 1,200; gate - up +: 3", '5: "g ⟦h⟧"', "SILENT", '"e ⟦f⟧"', "OUTPUT",
             r'" up", "\n"', '" down"']  # fmt: skip
    places = [user.index(one) for one in order]
    assert places == sorted(places) and "coefficient is negative" in user
    assert request.json and request.purpose == "label"
    assert "negative" not in prompts.label_request(SHOWN, 1, gated=False).messages[1]["content"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"label": "a  cat\\u0007 ", "kind": "Token", "not": "dogs"}', ("a cat", "token", "dogs")),
        ('Sure!\n```json\n{"label": "x", "kind": "topic"}\n```', ("x", "topic", "")),
        ('{"label": "", "kind": "unclear", "not": null}', ("", "unclear", "")),
        ("a cat", "it is not one JSON object"),
        ('{"label": "a"}', '"label" or "kind" is missing, or is not text'),
        ('{"label": ["a"], "kind": "token"}', '"label" or "kind" is missing, or is not text'),
        ('{"label": "a", "kind": "animal"}', '"kind" is not one of token, phrase, grammar, topic, position, unclear'),
        ('{"label": "", "kind": "token"}', '"label" is empty'),
        (json.dumps({"label": "w " * 13, "kind": "token"}), '"label" has more than 12 words'),
        (json.dumps({"label": "w" * 201, "kind": "token"}), '"label" has more than 12 words'),
        (json.dumps({"label": "w", "kind": "token", "not": "w " * 13}), '"not" has more than 12 words'),
    ],
)
def test_answers_of_the_labeller_are_read_strictly(text: str, said: tuple[str, str, str] | str) -> None:
    found = prompts.read_label(reply(text))
    assert found == (said if isinstance(said, str) else prompts.LabelAnswer(*said))  # type: ignore[arg-type]


def test_a_second_question_says_what_was_wrong_with_the_first_answer() -> None:
    first = prompts.label_request(SHOWN, 1, gated=False)
    again = prompts.repair_request(first, reply("a cat"), "it is not one JSON object")
    assert [one["role"] for one in again.messages] == ["system", "user", "assistant", "user"]
    assert "it is not one JSON object" in again.messages[3]["content"] and again.messages[2]["content"] == "a cat"
    assert prompts.read_label(failed_reply("away")) == "away"


def test_the_judge_sees_name_and_item_only() -> None:
    item = Item(7, '"the ⟦cat⟧"', True, "hard", "the same last token")
    request = prompts.detection_request('a "cat"\n⟦', item)
    assert request.messages[1]["content"] == 'Name: "a \\"cat\\"\\n\\u27e6"\nText: "the ⟦cat⟧"'
    assert "hard" not in str(request.messages) and request.top_logprobs == 20


@pytest.mark.parametrize(
    ("said", "p"),
    [
        (reply("1", ("1", {"1": 0.6, "0": 0.2, "yes": 0.2})), 0.75),
        (reply(" 0", (" 0", {" 0": 0.5, "0": 0.25, "1": 0.25})), 0.25),
        (reply("1"), 1.0),
        (reply("The answer is 0."), 0.0),
        (reply("1 or 0"), None),
        (reply("maybe"), None),
        (failed_reply("away"), None),
    ],
)
def test_answers_of_the_judge(said: Reply, p: float | None) -> None:
    assert prompts.read_detection(said) == (None if p is None else pytest.approx(p))


def test_strengths_are_expected_values_where_the_server_tells_probabilities() -> None:
    positions = [
        ("[", {"[": 1.0}),
        ("0", {"0": 0.5, "10": 0.5}),
        (",", {}),
        (" 3", {" 3": 0.25, " 5": 0.75}),
        ("]", {}),
    ]
    assert prompts.read_simulation(reply("[0, 3]", *positions), 2) == pytest.approx([5.0, 4.5])
    assert prompts.read_simulation(reply("Here: [0, 10, 2]"), 3) == pytest.approx([0, 10, 2])
    for wrong in ("[0, 3]", "[0, 3, 11]", "0, 3, 4", "[1] [2]", "", "[-1, 2, 3, 4]"):
        assert prompts.read_simulation(reply(wrong), 3) is None


def test_sentences_and_intruders() -> None:
    request = prompts.simulation_request("x", Sentence((" a", "\\n"), (1.0, 2.0), "top"))
    assert request.messages[1]["content"] == 'Name: "x"\nTokens (2):\n1. " a"\n2. "\\n"'
    asked = prompts.intruder_request(Intruder(('"⟦a⟧"', '"⟦b⟧"'), 1)).messages[1]["content"]
    assert asked == '1. "⟦a⟧"\n2. "⟦b⟧"'
    assert [prompts.read_intruder(reply(one), 5) for one in ("3", "It is 5.", "6", "")] == [2, 4, None, None]


def test_other_words_are_another_run(monkeypatch: pytest.MonkeyPatch) -> None:
    before = prompts.prompts_hash()
    monkeypatch.setitem(prompts.PROMPTS, "judge", prompts.JUDGE + " ")
    assert prompts.prompts_hash() != before and len(before) == 64

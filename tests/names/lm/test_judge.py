import pytest

from ffmem.names.lm.client.reply import Reply, TokenProbabilities, failed_reply
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.items import Intruder, Item, Items, Sentence
from ffmem.names.lm.judge import judge, judge_requests

ITEMS = Items(
    detection=(Item(1, '"⟦a⟧"', True, "firing"), Item(2, '"⟦b⟧"', False, "random"), Item(3, '"⟦c⟧"', False, "hard")),
    choosing=(Item(4, '"⟦d⟧"', True, "firing"),),
    fuzzing=(Item(5, '"⟦e⟧"', True, "firing"),),
    simulation=(Sentence(("a", " b"), (-1.0, 4.0), "top"), Sentence(("c",), (2.0,), "random")),
    intruders=(Intruder(('"⟦x⟧"',) * 5, 2), Intruder(('"⟦x⟧"',) * 5, 0)),
)


class Scripted:
    """A model that answers what a list says."""

    model = "scripted"

    def __init__(self, said: list[str]) -> None:
        self.said, self.asked = iter(said), list[Request]()

    def reply_to(self, request: Request) -> Reply:
        self.asked.append(request)
        text = next(self.said)
        return failed_reply("away") if text == "away" else Reply(text, (), 1, 1, "stop")


def test_every_answer_is_held_to_its_own_item() -> None:
    model = Scripted(["1", "1", "away", "0", "1", "[0, 10]", "nothing", "3", "4"])
    found = judge(model, "a name", ITEMS)
    assert found.detection.p.tolist() == [1.0, 1.0, 1.0], "a failed answer is the opposite of the truth"
    assert found.detection.failed.tolist() == [False, False, True]
    assert found.detection.correct.tolist() == [True, False, False]
    assert found.detection.against("hard").tokens == (1, 3)
    assert found.choosing.p.tolist() == [0.0] and found.fuzzing.correct.tolist() == [True]
    assert [one.said.tolist() for one in found.simulation] == [[0.0, 1.0], [0.0]]
    assert [one.true.tolist() for one in found.simulation] == [[0.0, 4.0], [2.0]]
    assert [one.failed for one in found.simulation] == [False, True]
    assert found.intruders == (True, False)
    assert [one.purpose for one in model.asked] == [
        *["detection"] * 3, "choosing", "fuzzing", "simulation", "simulation", "intruder", "intruder",
    ]  # fmt: skip


def test_one_item_a_call() -> None:
    asked = list(judge_requests("a name", ITEMS))
    assert len(asked) == 9
    assert [sum(f"⟦{one}⟧" in str(request.messages) for request in asked) for one in "abcde"] == [1] * 5


def test_half_a_chance_is_no_yes() -> None:
    class Unsure(Scripted):
        def reply_to(self, request: Request) -> Reply:
            return Reply("1", (TokenProbabilities("1", {"1": 0.4, "0": 0.4}),), 1, 1, "stop")

    found = judge(Unsure([]), "x", Items(ITEMS.detection))
    assert found.detection.p.tolist() == pytest.approx([0.5] * 3)
    assert found.detection.correct.tolist() == [False, True, True]

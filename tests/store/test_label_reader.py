"""What is said of cells, found again."""

from typing import Any

from ffmem import Index
from ffmem.ids import CellId
from tests.store.saying import CELL, PASSES, said, score


def test_without_a_file_there_is_no_name_and_reading_makes_none(gated: Index) -> None:
    assert gated.names.name(CELL) is None and gated.names.names([(CELL, 1)]) == {} and gated.names.find() == ([], 0)
    assert gated.names.labels_of(CELL) == [] and gated.names.runs() == {} and list(gated.names.all_labels()) == []
    assert not gated.names.path.exists()


def test_find_is_in_the_order_of_trust(gated: Index) -> None:
    labels = gated.names
    topic = {"field": "label", "value": "inland water"}
    labels.add(
        [
            said("old river", "rule", CellId(1, 0), kind="token", grade="B", evidence=topic),
            said("river", "rule", CellId(0, 2), kind="token", grade="A"),
            said("the river's bank", cell=CellId(1, 3), sign=-1),
            said("river guess", "lm", CellId(0, 0), author="m"),
            said("100% 'river'", "rule", CellId(0, 3), kind="token", grade="A"),
            said("lake", "import", CellId(1, 1), author="n", evidence=PASSES),
        ],
        [[score(0.3, "f1")], [score(0.6, "f1")], [], [], [score(0.7, "f1")], [score(0.9)]],
    )

    def found(*words: str, **wanted: Any) -> list[str]:
        rows, n = labels.find(words, **wanted)
        assert n >= len(rows)
        return [f"{cell}{'-' if sign < 0 else ''}" for cell, sign, _ in rows]

    assert found("river") == ["L1.3-", "L0.3", "L0.2", "L1.0"]
    assert found("RIVER", "bank") == ["L1.3-"] and found("old river") == ["L1.0"] and found("riv") == []
    assert found() == ["L1.3-", "L1.1", "L0.3", "L0.2", "L1.0"]
    assert found("river", grade="A", limit=1, offset=1) == ["L0.2"]
    assert labels.find(["river"], limit=1)[1] == 4
    assert found(topic="water") == ["L1.0"] and found(source="import") == ["L1.1"] and found(source="guess") == ["L0.0"]
    assert found(like=["%0\\%%"]) == ["L0.3"] and found("river", like=["%'%"]) == ["L1.3-", "L0.3"]
    assert found('"') == [] and found("river\0") == found("river") and found("a OR b) -") == []
    names = labels.names([(CellId(1, 0), 1), (CellId(0, 0), 1), (CellId(0, 1), 1)])
    assert [(str(cell), sign, name.topic) for (cell, sign), name in names.items()] == [("L1.0", 1, "inland water")]
    assert [str(cell) for cell, _, _ in labels.all_names()] == ["L0.2", "L0.3", "L1.0", "L1.1", "L1.3"]
    assert labels.counts() == {"guess": 1, "human": 1, "import": 1, "rule A": 2, "rule B": 1}


def test_runs_are_told(gated: Index) -> None:
    run = gated.names.add_run({"model": "m", "seed": 0})
    gated.names.add([said("x", "lm", run=run, author="m")])
    gated.names.finish_run(run, {"tokens": 12})
    assert gated.names.runs() == {run: {"model": "m", "seed": 0, "tokens": 12}}

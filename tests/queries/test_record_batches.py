"""Tables of an index as Arrow batches, however they are cut, against its arrays and its cells."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index
from ffmem.ids import CellId, LayerCells
from ffmem.queries.relations import CELLS, DOCUMENTS, LAYERS, NAMES, PROMOTED, RELATIONS, SENTENCES, TRIGGERS
from ffmem.store.label_rows import NewLabel, Score
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.loops import every_cell

pytest.importorskip("pyarrow", reason="the extra parquet is not installed")
import pyarrow as pa

from ffmem.queries import record_batches
from ffmem.queries.record_batches import Batches

DOCUMENTS_MADE = [
    Document([["a", " é"], ["b"]], "one", {"year": 1900}),
    Document([["b", "b"]], "two"),
    Document([["a"]], "three", held_out=True),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Gated: a plain layer, and two experts of whom one saw nothing."""
    dice = np.random.default_rng(0)
    mixture = np.hstack([dice.integers(-3, 4, (5, 2)), np.full((5, 2), np.nan)])
    layers = [Layer(dice.integers(-3, 4, (5, 5))), Layer(mixture, LayerCells(1, 2, n_experts=2))]
    found = make_index(tmp_path_factory.mktemp("made") / "i", DOCUMENTS_MADE, layers, gated=True, top=2)
    rule = {"source": "rule", "kind": "token", "evidence": {"topic": "t"}, "grade": "B"}
    named = [NewLabel(CellId(0, i), 1, text=f"name {i}", **rule) for i in range(4)]  # type: ignore[arg-type]
    named += [NewLabel(CellId(1, 1, expert=1), -1, "human", "by hand"), NewLabel(CellId(0, 4), 1, "lm", "a guess")]
    found.names.add(named, [[Score("f1", 0.5, 0.4, 0.6, 9)]])
    return found


@pytest.mark.parametrize("relation", RELATIONS, ids=lambda one: one.name)
def test_the_rows_are_the_same_however_they_are_cut(
    index: Index, relation: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = []
    for rows in (1, 7, 2**17):
        monkeypatch.setattr(record_batches, "_BATCH", rows)
        for encoded in (True, False):
            for whole_groups in (True, False):
                found = list(Batches(index).read(relation, encoded=encoded, whole_groups=whole_groups))  # type: ignore[arg-type]
                schema = Batches.schema(relation, encoded=encoded)  # type: ignore[arg-type]
                assert all(one.schema.equals(schema, check_metadata=True) for one in found)
                tables.append(pa.Table.from_batches(found).to_pylist())
    assert tables[0] and all(one == tables[0] for one in tables)


def test_names_by_their_cells_and_no_guesses(index: Index) -> None:
    (batch,) = Batches(index).read(NAMES, encoded=False)
    rows = batch.to_pylist()
    assert [(row["cell"], row["sign"], row["name"], row["mark"], row["score"]) for row in rows] == [
        ("L0.0", 1, "name 0", "rule B", 0.5), ("L0.1", 1, "name 1", "rule B", None), ("L0.2", 1, "name 2", "rule B", None),
        ("L0.3", 1, "name 3", "rule B", None), ("L1.e1.1", -1, "by hand", "by hand", None),
    ]  # fmt: skip
    assert rows[0]["topic"] == "t" and rows[0]["kind"] == "token" and rows[0]["n_others"] == 0 and rows[4]["layer"] == 1


def test_whole_groups_are_layers_and_experts(index: Index) -> None:
    assert [one.num_rows for one in Batches(index).read(CELLS, encoded=False, whole_groups=True)] == [5, 2, 2]
    assert [one.num_rows for one in Batches(index).read(PROMOTED, encoded=True, whole_groups=True)] == [20, 8, 8]


def rows_of(index: Index, relation: object) -> list[dict[str, object]]:
    return list(pa.Table.from_batches(Batches(index).read(relation, encoded=True)).to_pylist())  # type: ignore[arg-type]


def test_cells_and_triggers_are_those_of_the_index(index: Index) -> None:
    cells, triggers = (rows_of(index, one) for one in (CELLS, TRIGGERS))
    expected = list(every_cell(index))
    assert [row["cell"] for row in cells] == [str(one.cell) for one in expected]
    assert [(row["cell"], row["expert"], row["index"]) for row in cells[4:]] == [
        ("L0.4", None, 4), ("L1.e0.0", 0, 0), ("L1.e0.1", 0, 1), ("L1.e1.0", 1, 0), ("L1.e1.1", 1, 1),
    ]  # fmt: skip
    for row, cell in zip(cells, expected, strict=True):
        statistics = cell.statistics
        assert (row["mean"], row["mean_square"]) == (statistics.mean, statistics.mean_square)
        assert (row["n_tokens"], row["n_sentences"]) == (statistics.n_tokens, statistics.n_sentences)
        assert (tuple(row["histogram"]), tuple(row["histogram_negative"])) == statistics.histogram  # type: ignore[arg-type]
        own = [one for one in triggers if one["cell"] == row["cell"]]
        assert row["n_triggers"] == len(own) == len(cell.triggers)
        for one, trigger in zip(own, cell.triggers, strict=True):
            assert (one["sign"], one["rank"], one["coefficient"]) == (trigger.sign, trigger.rank, trigger.coefficient)
            assert (one["sentence_id"], one["position"]) == (trigger.sentence_id, trigger.position)
            assert (one["token"], one["next_token"]) == (trigger.tokens[trigger.position], trigger.next_token)
            assert one["document_id"] == trigger.document.document_id
    assert {row["n_tokens"] for row in cells} == {0, 5} and any(row["next_token_id"] is None for row in triggers)


def test_promoted_tokens_are_those_of_the_arrays(index: Index) -> None:
    rows = rows_of(index, PROMOTED)
    assert [(one["direction"], one["rank"], one["token_id"], one["logit"]) for one in rows[:4]] == [
        ("promoted", 0, 0, 2.0), ("promoted", 1, 1, 1.0), ("suppressed", 0, 1, -2.0), ("suppressed", 1, 0, -1.0),
    ]  # fmt: skip
    assert all(one["token"] == index.text.vocabulary[one["token_id"]] for one in rows)  # type: ignore[index]
    assert len(rows) == 4 * index.n_cells


def test_sentences_documents_and_layers_by_hand(index: Index) -> None:
    sentences = [
        (one["sentence_id"], one["document_id"], one["text"], one["n_tokens"], one["token_index"], one["held_out"])
        for one in rows_of(index, SENTENCES)
    ]
    assert sentences == [
        (0, 0, "a é", 2, 0, False), (1, 0, "b", 1, 2, False), (2, 1, "bb", 2, 3, False), (3, 2, "a", 1, 5, True),
    ]  # fmt: skip
    documents = [(one["name"], one["metadata"], one["n_bytes"], one["held_out"]) for one in rows_of(index, DOCUMENTS)]
    assert documents == [("one", '{"year": 1900}', 5, False), ("two", "{}", 2, False), ("three", "{}", 1, True)]
    layers = [
        (one["name"], one["n_experts"], one["d_ff"], one["n_cells"], one["projection"])
        for one in rows_of(index, LAYERS)
    ]
    assert layers == [("L0", 0, 5, 5, "raw"), ("L1", 2, 2, 4, "raw")]


def test_a_cell_without_a_second_list_has_no_second_histogram(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS_MADE, [Layer(np.ones((5, 1)))])
    (row,) = rows_of(index, CELLS)
    assert row["histogram_negative"] is None and sum(row["histogram"]) == 3  # type: ignore[call-overload]
    assert row["active_fraction"] == 1.0 and row["n_triggers"] == 3


def test_strings_that_repeat_are_numbers_where_that_is_asked_for() -> None:
    encoded, plain = (Batches.schema(TRIGGERS, encoded=one) for one in (True, False))
    assert encoded.names == plain.names == [column.name for column in TRIGGERS.columns]
    assert {field.name for field in encoded if pa.types.is_dictionary(field.type)} == {
        "cell",
        "stack",
        "dictionary",
        "token",
        "next_token",
    }
    assert not any(pa.types.is_dictionary(field.type) for field in Batches.schema(SENTENCES, encoded=True))


def test_cells_of_dictionaries_are_told_from_those_of_their_layer(gated_dictionary_index: Index) -> None:
    rows = [row for row in rows_of(gated_dictionary_index, CELLS) if row["layer"] == 1 and row["index"] == 3]
    assert [(row["cell"], row["dictionary"], row["histogram_negative"] is None) for row in rows] == [
        ("L1.3", "", False), ("L1.added.3", "added", True), ("L1.before.3", "before", True),
    ]  # fmt: skip

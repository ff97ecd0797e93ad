"""Patterns of one cell out of the table of its layer, against that table read whole by the csv module."""

import csv
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem import Index
from ffmem.errors import StoreError
from ffmem.ids import CellId
from ffmem.studies.geva2021.cell_patterns import CellPattern, cells_with_text, kinds_of_cells, patterns_of
from ffmem.studies.results import as_csv
from tests.fixtures.collected import collected_index

COLUMNS = ("cell", "sign", "kind", "pattern_class", "text", "triggers", "frequency", "p", "p_in_unit", "accepted", "auc",
           "precision", "recall", "n")  # fmt: skip


def row(cell: str, text: str, *, sign: int = 1, kind: str = "token", of: str = "shallow", p: float = 0.01,
        accepted: bool = True, auc: str = "") -> dict[str, object]:  # fmt: skip
    return dict(
        zip(COLUMNS, (cell, sign, kind, of, text, "[0, 2]", 0.25, 0.001, p, accepted, auc, auc, "", 3), strict=True)
    )


def write(folder: Path, layer: str, rows: list[dict[str, object]]) -> Path:
    path = folder / "patterns" / f"{layer}.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(as_csv(rows))
    return path


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return collected_index(tmp_path_factory.mktemp("made") / "index")


def test_the_most_certain_of_a_sign_comes_first_and_what_is_not_accepted_never(tmp_path: Path) -> None:
    write(tmp_path, "L0", [
        row("L0.1", "down", sign=-1, p=1e-9),
        row("L0.1", "late", p=0.02),
        row("L0.10", "another's"),
        row("L0.1", "chance", accepted=False),
        row("L0.1", "sure", p=1e-6, kind="topic", of="semantic", auc="0.875"),
    ])  # fmt: skip
    found = patterns_of(tmp_path, "L0", CellId(0, 1))
    assert found is not None and [(one.text, one.sign) for one in found] == [("sure", 1), ("late", 1), ("down", -1)]
    assert found[0] == CellPattern(1, "topic", "semantic", "sure", (0, 2), 0.25, 1e-6, 0.875, 0.875, None)
    assert patterns_of(tmp_path, "L0", CellId(0, 2)) == () and patterns_of(tmp_path, "L1", CellId(1, 0)) is None


TEXTS = st.text(st.sampled_from('ab",\nL0.1\r é'), min_size=1, max_size=12)


@given(st.lists(st.tuples(st.integers(0, 12), TEXTS), max_size=8))
@settings(max_examples=60, deadline=None)
def test_a_text_may_hold_anything_that_a_table_may(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("results")
    write(folder, "L0", [row(f"L0.{cell}", text) for cell, text in rows])
    with (folder / "patterns" / "L0.csv").open(newline="") as file:
        assert [(one["cell"], one["text"]) for one in csv.DictReader(file)] == [(f"L0.{c}", text) for c, text in rows]
    for cell in {cell for cell, _ in rows}:
        expected = sorted(text for other, text in rows if other == cell)
        found = patterns_of(folder, "L0", CellId(0, cell))
        assert found is not None and sorted(one.text for one in found) == expected


def test_a_table_that_is_written_anew_is_read_anew(tmp_path: Path) -> None:
    path = write(tmp_path, "L0", [row("L0.1", "old")])
    assert [one.text for one in patterns_of(tmp_path, "L0", CellId(0, 1)) or ()] == ["old"]
    before = path.stat().st_mtime_ns
    write(tmp_path, "L0", [row("L0.0", "x" * 50), row("L0.1", "new")])
    if path.stat().st_mtime_ns == before:
        pytest.skip("this disk tells no times apart")
    assert [one.text for one in patterns_of(tmp_path, "L0", CellId(0, 1)) or ()] == ["new"]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text.replace('"[0, 2]"', '"[0, 2"'),
        lambda text: text.replace("0.25", "many"),
        lambda text: text.replace("accepted", "taken"),
        lambda text: text[: len(text) - 30] + "\n",
    ],
)
def test_a_damaged_table_is_told(spoil: object, tmp_path: Path) -> None:
    path = write(tmp_path, "L0", [row("L0.1", "a")])
    path.write_text(spoil(path.read_text()))  # type: ignore[operator]
    with pytest.raises(StoreError, match=r"L0\.csv is damaged: .* Delete the folder of these results"):
        patterns_of(tmp_path, "L0", CellId(0, 1))


def test_which_cells_have_a_kind_or_words(index: Index, tmp_path: Path) -> None:
    write(tmp_path, "L0", [
        row("L0.0", 'ends with " River"'),
        row("L0.1", "rivers and stones", kind="topic", of="semantic"),
        row("L0.2", "river", accepted=False),
        row("L0.3", "a\nriver below"),
    ])  # fmt: skip
    write(tmp_path, "L1", [row("L1.2", "stone", kind="topic", of="semantic", sign=-1)])
    kinds = kinds_of_cells(tmp_path, index)
    assert kinds.keys() == {"token", "shallow", "topic", "semantic"}
    assert [np.flatnonzero(one).tolist() for one in kinds["semantic"]] == [[1], [2]]
    assert [np.flatnonzero(one).tolist() for one in cells_with_text(tmp_path, index, "stone")] == [[1], [2]]
    for words, expected in (("RIVER", [0, 1]), ('with " river"', [0]), ("rivers and", [1]), ("lake", [])):
        assert np.flatnonzero(cells_with_text(tmp_path, index, words)[0])[: len(expected)].tolist() == expected, words

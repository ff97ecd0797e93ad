"""Which cells a list is of, against a loop over every cell."""

from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries.listing import Listed, listed, n_listed
from ffmem.queries.table import cells
from ffmem.store.label_rows import NewLabel
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.loops import every_cell


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "gated"])
def index(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Cells that never fire, at one position of 2,000, at a tenth of them, nearly always, and only below 0."""
    n, table = 2_000, np.full((2_000, 5), -0.5)
    table[:, 0] = 0
    table[7, 1] = 1
    table[: n // 10, 2] = 2
    table[10:, 3] = 3
    made = make_index(
        tmp_path_factory.mktemp("made") / "i", [Document([["a", "b"]] * (n // 2))], [Layer(table), Layer(table[:, ::-1])],
        gated=request.param,
    )  # fmt: skip
    names = (
        ("L0.1", "rule", "token", "A"),
        ("L0.2", "rule", "topic", "B"),
        ("L1.4", "rule", "dead", ""),
        ("L1.0", "human", "", ""),
    )
    made.names.add(
        [NewLabel(made.cell_id(c), 1, source, f"n {c}", kind=kind, grade=grade) for c, source, kind, grade in names]
    )  # type: ignore[arg-type]
    return made


def found(index: Index, **asked: str) -> list[str]:
    among = listed(index, Listed(**asked))  # type: ignore[arg-type]
    rows = [str(row.cell) for row in cells(index, among=among, limit=100)]
    assert len(rows) == n_listed(index, [0, 1], among)
    return rows


def test_how_often_they_fire(index: Index) -> None:
    dead, rare, often = [], [], []
    for cell in every_cell(index):
        statistics, name = cell.statistics, str(cell.cell)
        if statistics.maximum <= 0 and (index.n_signs == 1 or statistics.minimum >= 0):
            dead.append(name)
        elif statistics.active_fraction < 0.001:
            rare.append(name)
        elif statistics.active_fraction > 0.5:
            often.append(name)
    assert (found(index, fires="never"), found(index, fires="rarely"), found(index, fires="often")) == (
        dead,
        rare,
        often,
    )
    assert dead == (["L0.0", "L1.4"] if index.n_signs == 2 else ["L0.0", "L0.4", "L1.0", "L1.4"])
    assert often == ["L0.3", "L1.1"] and "L0.1" in rare and listed(index, Listed()) is None


def test_what_they_are_called(index: Index) -> None:
    assert found(index, kind="token") == ["L0.1"] and found(index, grade="B") == ["L0.2"]
    assert found(index, source="rule") == ["L0.1", "L0.2", "L1.4"] and found(index, source="human") == ["L1.0"]
    assert found(index, kind="dead", fires="never") == ["L1.4"] and found(index, kind="nothing \0 known") == []
    assert index.names.kinds() == {"dead": 1, "token": 1, "topic": 1}
    with pytest.raises(InputError, match="grade"):
        Listed(grade="Z")


def test_an_index_without_names_has_none(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[1.0]])], top=1)
    assert index.names.kinds() == {} and index.names.cells_of_kind("token") == []


def test_pages_of_a_table_are_all_of_it(index: Index) -> None:
    for sort in ("max", "index", "active"):
        whole = cells(index, sort=sort, limit=100)  # type: ignore[arg-type]
        pages = [one for start in range(0, 12, 3) for one in cells(index, sort=sort, limit=3, start=start)]  # type: ignore[arg-type]
        assert pages == whole and len(whole) == 10
        back = cells(index, sort=sort, limit=100, reverse=True)  # type: ignore[arg-type]
        keys = [(one.maximum, one.active_fraction)[sort == "active"] for one in back]
        assert sorted(back, key=lambda one: str(one.cell)) == sorted(whole, key=lambda one: str(one.cell))
        assert back == whole[::-1] if sort == "index" else keys == sorted(keys)

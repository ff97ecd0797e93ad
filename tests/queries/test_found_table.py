"""All cells that were found as a table, read back by other libraries."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem import Index, InputError
from ffmem.queries import find
from ffmem.queries.find import Conditions, match_cells
from ffmem.queries.found_table import COLUMNS, stream_found, write_found
from tests.fixtures.made_index import Document, Layer, make_index

ASKED = Conditions(trigger="the")


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_every_format_has_what_find_finds(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    pq = pytest.importorskip("pyarrow.parquet", reason="Parquet needs the extra parquet")
    index = index_of(family)
    expected = find(index, trigger="the", limit=10_000, n_triggers=1).rows
    for form in ("csv", "json", "parquet"):
        assert write_found(index, match_cells(index, ASKED), tmp_path / f"x.{form}").n_cells == len(expected) > 20
    as_csv = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text("utf-8-sig"))))
    as_json = json.loads((tmp_path / "x.json").read_text("utf-8"))
    as_parquet = pq.read_table(tmp_path / "x.parquet")
    assert as_parquet.column_names == list(as_csv[0]) == [one.name for one in COLUMNS]
    assert as_parquet.schema.field("lift").metadata[b"meaning"].startswith(b"how many times")
    rows = zip(expected, as_csv, as_json["cells"], as_parquet.to_pylist(), strict=True)
    for row, from_csv, from_json, from_parquet in rows:
        assert {str(row.cell)} == {from_csv["cell"], from_json["cell"], from_parquet["cell"]}
        assert row.sign == int(from_csv["sign"]) == from_json["sign"] == from_parquet["sign"]
        assert row.n_triggers == int(from_csv["n_matching"]) == from_json["n_triggers"] == from_parquet["n_matching"]
        assert row.lift == pytest.approx(float(from_csv["lift"])) == pytest.approx(from_parquet["lift"])
        assert from_parquet["coefficient"] == row.triggers[0].coefficient
        cell = index.cell(row.cell)
        first = [one.token for one in (cell.promoted if row.sign > 0 else cell.suppressed)][:6]
        assert json.loads(from_parquet["promoted"]) == from_json["promoted"] == first


def test_a_spreadsheet_runs_nothing(tmp_path: Path) -> None:
    documents = [Document([["=HYPERLINK(1)", "x"]], "@SUM(1)")]
    index = make_index(tmp_path / "i", documents, [Layer([[2], [1]])])
    matches = match_cells(index, Conditions(fires_on="=HYPERLINK(1)"))
    (row,) = csv.DictReader(io.StringIO(b"".join(stream_found(index, matches, "csv", {})).decode("utf-8-sig")))
    assert row["document"] == "'@SUM(1)" and row["trigger"] == "[=HYPERLINK(1)]x"


def test_nothing_is_overwritten_and_the_name_says_the_format(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[1]])])
    (tmp_path / "x.csv").write_text("mine")
    with pytest.raises(InputError, match="already exists"):
        write_found(index, match_cells(index, Conditions(layer=0)), tmp_path / "x.csv")
    with pytest.raises(InputError, match=r"Expected a name that ends in .csv, .json or .parquet"):
        write_found(index, match_cells(index, Conditions(layer=0)), tmp_path / "x.xlsx")
    assert (tmp_path / "x.csv").read_text() == "mine" and len(list(tmp_path.iterdir())) == 2

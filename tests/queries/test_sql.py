"""SQL and Parquet against the arrays, and the examples of the documentation."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ffmem import Index, InputError, StoreError, open_index, queries
from ffmem.json_values import to_json
from ffmem.queries.relations import RELATIONS
from ffmem.render import views_page
from ffmem.store.arrays import total_of
from ffmem.store.keys import NO_TOKEN
from tests.fixtures.programs import ffmem as run_ffmem

pytest.importorskip("duckdb", reason="the extra sql is not installed")
pq = pytest.importorskip("pyarrow.parquet", reason="the extra parquet is not installed")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "sql.md"
REFRESH = (
    "python -c 'from pathlib import Path; from ffmem.render import views_page; "
    'p = Path("docs/reference/sql.md"); p.write_text(views_page(p.read_text()))\''
)
EXAMPLES = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), flags=re.DOTALL)
FAMILIES = ["gpt2", "llama", "mixtral", "t5"]


def test_the_page_lists_the_views_as_they_are() -> None:
    assert views_page(PAGE.read_text()) == PAGE.read_text(), f"stale: {REFRESH}"


@pytest.mark.parametrize("sql", EXAMPLES, ids=range(len(EXAMPLES)))
def test_the_examples_of_the_page_give_rows(sql: str, index_of: Callable[[str], Index]) -> None:
    found = queries.query(index_of("llama"), sql)
    may_be_empty = "n_active = 0" in sql or "count(distinct token_id) = 1" in sql
    assert found.columns and (found.rows or may_be_empty)
    assert json.loads(json.dumps(found.to_json()))["columns"] == list(found.columns)


def test_there_are_ten_examples() -> None:
    assert len(EXAMPLES) == 10


@pytest.mark.parametrize("family", FAMILIES)
def test_tables_hold_what_the_arrays_hold(family: str, index_of: Callable[[str], Index], tmp_path: Path) -> None:
    index = index_of(family)
    exported = queries.export(index, tmp_path / "out")
    tables = {relation.name: pq.read_table(tmp_path / "out" / f"{relation.name}.parquet") for relation in RELATIONS}
    for relation in RELATIONS:
        asked = queries.query(index, f"select * from {relation.name}", limit=10**9)
        assert asked.columns == tuple(column.name for column in relation.columns)
        assert asked.types == tuple(column.type for column in relation.columns)
        assert len(asked.rows) == exported.n_rows[relation.name] == tables[relation.name].num_rows
        rows = [tuple(row.values()) for row in tables[relation.name].to_pylist()]
        assert sorted(map(repr, asked.rows)) == sorted(map(repr, rows))
    cells, triggers, promoted = (tables[name].to_pylist() for name in ("cells", "triggers", "promoted"))
    assert [row["cell"] for row in cells] == [
        str(index.cells.cell_id(place, row))
        for place, layer in enumerate(index.cells.layers)
        for row in range(layer.n_cells)
    ]
    for row in cells[:: len(cells) // 7]:
        cell = index.cell(row["cell"])
        statistics = cell.statistics
        assert (row["n_tokens"], row["mean"]) == (statistics.n_tokens, pytest.approx(statistics.mean))
        assert row["active_fraction"] == pytest.approx(statistics.active_fraction)
        assert tuple(row["histogram"]) == statistics.histogram[0]
        assert (row["histogram_negative"] is None) == (index.n_signs == 1)
        own = [one for one in triggers if one["cell"] == row["cell"]]
        expected = [(t.sign, t.rank, t.coefficient, t.sentence_id, t.position) for t in cell.triggers]
        assert [
            tuple(one[n] for n in ("sign", "rank", "coefficient", "sentence_id", "position")) for one in own
        ] == expected
        assert row["n_triggers"] == len(own)
        ends = {end: [one["token_id"] for one in promoted if (one["cell"], one["direction"]) == (row["cell"], end)]
                for end in ("promoted", "suppressed")}  # fmt: skip
        assert ends["promoted"] == [token.token_id for token in cell.promoted]
        assert ends["suppressed"] == [token.token_id for token in cell.suppressed]
    n_triggers = sum(int((index.layer(p).trigger_token != NO_TOKEN).sum()) for p in range(index.n_layers))
    assert len(triggers) == n_triggers
    total = sum(float(total_of(index.layer(p).sum).sum()) for p in range(index.n_layers))
    assert sum(row["mean"] * row["n_tokens"] for row in cells) == pytest.approx(total, rel=1e-6)


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("drop view cells", "is of the kind DROP"),
        ("create table x as select 1", "is of the kind CREATE"),
        ("copy cells to '/tmp/x.csv'", "is of the kind COPY"),
        ("attach '/tmp/x.db'", "is of the kind ATTACH"),
        ("set memory_limit = '1TB'", "is of the kind"),
        ("select 1; select 2", "there are 2 statements"),
        ("", "no statement is given"),
        ("selec 1", "(?s)the statement failed: Parser Error.*Expected SQL over cells, triggers"),
        ("select nothing from cells", "Binder Error"),
        ("select * from read_csv('/etc/passwd')", "the statement failed"),
        ("select * from read_text('/etc/passwd')", "the statement failed"),
        ("select getenv('HOME')", "the statement failed"),
        ("select * from pq", "Catalog Error"),  # a name of this program is no table
    ],
)
def test_what_is_not_answered(sql: str, message: str, index_of: Callable[[str], Index]) -> None:
    with pytest.raises(InputError, match=message):
        queries.query(index_of("gpt2"), sql)


def test_limits(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    found = queries.query(index, "select cell from cells order by cell", limit=5)
    assert len(found.rows) == 5 and found.is_cut
    assert not queries.query(index, "select 1", limit=1).is_cut
    with pytest.raises(InputError, match=r"ran for more than 0\.3 s.*--timeout-s"):
        queries.query(index, "select count(*) from triggers a, triggers b, triggers c", timeout_s=0.3)
    with pytest.raises(InputError, match=r"--limit is 0\. Expected a number above 0"):
        queries.query(index, "select 1", limit=0)


def test_damage_is_told_as_damage(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(index_of("llama").folder, tmp_path / "copy"))
    index = open_index(copy)
    path = copy / "index" / "layers" / "L001.safetensors"
    data = bytearray(path.read_bytes())
    data[8:40] = b"\xff" * 32
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match=r"L001\.safetensors"):
        queries.query(index, "select count(*) from triggers where coefficient > 0")


def test_on_the_command_line(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = str(index_of("llama").folder)

    def ffmem(*arguments: str) -> str:
        return run_ffmem(*arguments)[0]

    assert "n_layers" not in ffmem("query", folder, "--views") and "triggers: a row is" in ffmem(
        "query", folder, "--views"
    )
    assert ffmem("query", folder, "select count(*) as n from cells", "--format", "csv") == "n\n144\n"
    assert json.loads(ffmem("query", folder, "select 1 as one", "--format", "json"))["rows"] == [[1]]
    assert "(3 rows)" in ffmem("query", folder, "select name from layers")
    assert json.loads(ffmem("export", folder, "--parquet", str(tmp_path / "out"), "--json"))["n_rows"]["cells"] == 144


def test_a_result_shows_itself_escaped(index_of: Callable[[str], Index]) -> None:
    found = queries.query(index_of("llama"), "select '<script>' as a, null as b, 1.5::double as c")
    assert "&lt;script&gt;" in found._repr_html_() and "<script>" not in found._repr_html_()
    rows = queries.cells(index_of("llama"), limit=3)
    assert rows._repr_html_().count("<tr>") == 4 and len(to_json(rows)) == 3
    assert "48 cells" in index_of("llama")._repr_html_()
    assert np.isfinite(rows[0].mean)

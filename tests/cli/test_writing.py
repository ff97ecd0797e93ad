"""`--out`: answers as files, and what is refused before anything is computed."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

import ffmem
from ffmem import CellId, Index, InputError, queries
from ffmem.analyses.activation import activate
from ffmem.analyses.explain import explain
from ffmem.cell import Name
from ffmem.cli.writing import check_out, write_answer
from tests.cli.typed import typed

TEXT = "the old river"


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def test_records_are_laid_out_and_no_text_is_a_formula(tmp_path: Path) -> None:
    name = Name("=SUM(A1)", "human", "by hand", "", None, 0, "", "", False, 1)
    first, second = (
        {"cell": CellId(1, 2), "name": name, "share": 0.1 + 0.2},
        {"cell": CellId(1, 3), "tokens": ["a", " b"]},
    )
    rows = [{"at": first}, {"at": second}]
    assert write_answer(str(tmp_path / "new" / "a.csv"), {}, rows) == f"2 rows written to {tmp_path / 'new' / 'a.csv'}."
    assert rows_of(tmp_path / "new" / "a.csv") == [
        {"cell": "L1.2", "name": "'=SUM(A1)", "share": "0.30000000000000004", "tokens": ""},
        {"cell": "L1.3", "name": "", "share": "", "tokens": "a  b"},
    ]
    write_answer(str(tmp_path / "b.json"), {"share": 0.5}, rows)
    assert json.loads((tmp_path / "b.json").read_text()) == {"share": 0.5}


def test_what_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "there.csv").write_text("mine")
    with pytest.raises(InputError, match=r"there\.csv already exists.*nothing is overwritten"):
        check_out(str(tmp_path / "there.csv"))
    with pytest.raises(InputError, match=r"--out is a\.txt\. Expected a name that ends with \.csv or \.json"):
        check_out("a.txt")
    check_out(None)
    for verb in (("activate", "no-such-model", TEXT), ("explain", "no-such-model", TEXT), ("diff", "no", "none")):
        with pytest.raises(InputError, match=r"--out is a\.txt"):
            typed(*verb, "--out", "a.txt")
    assert (tmp_path / "there.csv").read_text() == "mine"


def test_verbs_write_what_they_would_print(
    index_of: Callable[[str], Index],
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(tiny_folder("gpt2"))
    typed("activate", tiny_folder("gpt2"), TEXT, "--limit", 2, "--out", tmp_path / "a.csv")
    expected = [(token.position, cell) for token in activate(model, TEXT, limit=2).tokens for cell in token.cells]
    rows = rows_of(tmp_path / "a.csv")
    assert [(int(one["position"]), one["cell"]) for one in rows] == [(at, str(cell.cell)) for at, cell in expected]
    assert [float(one["coefficient"]) for one in rows] == [cell.coefficient for _, cell in expected]
    typed("explain", tiny_folder("gpt2"), TEXT, "--limit", 3, "--out", tmp_path / "e.json")
    assert json.loads((tmp_path / "e.json").read_text())["score"] == pytest.approx(explain(model, TEXT, limit=3).score)
    typed("explain", tiny_folder("gpt2"), TEXT, "--limit", 3, "--out", tmp_path / "e.csv")
    shares = [one.share for one in explain(model, TEXT, limit=3).cells]
    assert [float(one["adds_to_score"]) for one in rows_of(tmp_path / "e.csv")] == pytest.approx(shares)
    typed("diff", index.folder, index.folder, "--limit", 4, "--out", tmp_path / "d.csv")
    same = queries.diff(index, index, limit=4).rows
    assert [one["cell"] for one in rows_of(tmp_path / "d.csv")] == [str(one.cell) for one in same]
    assert "4 rows written" in capsys.readouterr().out

"""Annotations beside an index: stored, exported, imported again, settled."""

import json
import random
import shutil
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.annotations import store
from ffmem.annotations.adjudication import adjudication_rows
from ffmem.annotations.batches import Batch, draw, shown_trigger
from ffmem.annotations.protocol import CellAnnotation, Pattern, ShownCell
from ffmem.annotations.rows import ADJUDICATION
from ffmem.annotations.sheets import N_PATTERN_ROWS, read_filled
from ffmem.annotations.summary import summarize
from tests.annotations.filling import Line, edit, edit_json, fill, read_lines, write_lines


@pytest.fixture
def batch(index: Index) -> Batch:
    return draw(index, "b", layers=[0, 1, 2], per_layer=2, n_triggers=5)


@pytest.fixture
def sheets(index: Index, batch: Batch, tmp_path: Path) -> list[Path]:
    """Of two annotators, filled in."""
    files = store.write_sheets(index, batch, ["ann", "bob"], tmp_path / "sheets")
    return [fill(files[0], 1, blank=("2",)), fill(files[2], 2)]


def test_what_is_imported_is_loaded(index: Index, sheets: list[Path]) -> None:
    found = store.import_files(index, sheets)
    assert [(one.batch, one.annotator, one.n_cells, one.n_blank, one.done) for one in found] == [
        ("b", "ann", 5, 1, "stored"),
        ("b", "bob", 6, 0, "stored"),
    ]
    loaded = store.load(ffmem.open_index(index.folder))
    assert loaded == [one for path in sheets for filled in read_filled(index, path) for one in filled.annotations]
    assert [bad for one in found for bad in one.invalid] == list(store.invalid_patterns(loaded)) != []
    assert sorted(path.name for path in (index.folder / "annotations").iterdir()) == [
        "b.ann.json",
        "b.bob.json",
        "keys",
    ]


def strange_annotations(index: Index) -> list[CellAnnotation]:
    """Patterns with every kind of text, and triggers with any of the index's."""
    rng = random.Random(0)
    texts = ["=1+1", "'=1+1", "-ing", "''", "'s", "@", 'a "b", c; d', "naïve 日本 😀", "two\nlines", "0", "+1", "'"]
    found = []
    for annotator in ("ann", "bob"):
        for row in range(3):
            cell = index.cell(index.cells.cell_id(1, row))
            shown = tuple(shown_trigger(index, t.sentence_id, t.position) for t in cell.triggers if t.sign == 1)
            patterns = tuple(
                Pattern(3 * i + 1, text, rng.choice(("shallow", "semantic")))
                for i, text in enumerate(rng.sample(texts, 9))
            )
            marks = tuple(frozenset(one.number for one in patterns if rng.random() < 0.3) for _ in shown)
            found.append(CellAnnotation("b", annotator, ShownCell(cell.cell, 1, shown), patterns, marks))
    return found


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_makes_the_same_annotations_again(index: Index, tmp_path: Path, form: str) -> None:
    made = strange_annotations(index)
    for one in ("ann", "bob"):
        store.save_one(index, "b", one, [each for each in made if each.annotator == one])
    assert store.load(index) == made
    out = tmp_path / "out" / f"all.{form}"
    assert store.export(index, out) == len(made)
    shutil.copytree(index.folder, tmp_path / "copy", ignore=shutil.ignore_patterns("annotations"))
    copy = ffmem.open_index(tmp_path / "copy")
    assert store.load(copy) == []
    assert [one.done for one in store.import_files(copy, [out])] == ["stored", "stored"]
    assert store.load(copy) == made
    for path in (index.folder / "annotations").glob("*.json"):
        assert path.read_bytes() == (copy.folder / "annotations" / path.name).read_bytes()
    assert [one.done for one in store.import_files(index, [out])] == ["unchanged", "unchanged"]


def test_a_spreadsheet_takes_no_text_for_a_formula(index: Index, tmp_path: Path) -> None:
    made = strange_annotations(index)
    store.save_one(index, "b", "ann", made[:3])
    store.export(index, tmp_path / "all.csv")
    assert not any(line["text"].startswith(("=", "+", "-", "@")) for line in read_lines(tmp_path / "all.csv"))


def test_an_export_is_checked_like_a_sheet(index: Index, sheets: list[Path], tmp_path: Path) -> None:
    store.import_files(index, sheets)
    out = tmp_path / "all.csv"
    store.export(index, out)
    whole = read_lines(out)
    last = max(i for i, line in enumerate(whole) if line["annotator"] == "ann" and line["row"] == "trigger")
    lost = write_lines(tmp_path / "lost.csv", whole[:last] + whole[last + 1 :])
    with pytest.raises(InputError, match=f"cell {whole[last]['cell']} begins here, and has no row for trigger 5"):
        store.import_files(index, [lost])
    for column, value, message in (
        ("position", "999", "position 999 of sentence"),
        ("sentence_id", "-1", "sentence -1 does not exist"),
        ("cell", "L99.0", "cell L99.0 does not exist"),
        ("index", "index-0", "belongs to another index: 'index-0'"),
    ):
        where = ("annotator", "cell") if column in ("cell", "index") else ("annotator", "cell", "row", "number")
        same = [all(line[name] == whole[last][name] for name in where) for line in whole]
        changed = [line | {column: value} if hit else line for line, hit in zip(whole, same, strict=True)]
        with pytest.raises(InputError) as error:
            store.import_files(index, [write_lines(tmp_path / "changed.csv", changed)])
        assert message in str(error.value) and "changed.csv, row " in str(error.value)


def test_nothing_is_replaced_unasked(index: Index, sheets: list[Path]) -> None:
    store.import_files(index, sheets)
    before = store.load(index)
    fill(sheets[0], 7)
    with pytest.raises(InputError) as error:
        store.import_files(index, sheets)
    assert str(error.value) == (
        "other annotations of ann for batch 'b' are stored already. "
        "Expected an annotator and batch of which nothing is stored, or the same annotations. "
        "Keep them with `ffmem annotate export`, then import with --replace."
    )
    assert store.load(index) == before
    assert [one.done for one in store.import_files(index, sheets, replace=True)] == ["replaced", "unchanged"]
    assert store.load(index) != before


def test_all_files_or_none(index: Index, sheets: list[Path]) -> None:
    edit(sheets[1], lambda lines: lines.pop())
    with pytest.raises(InputError, match="has no row for trigger 5"):
        store.import_files(index, sheets)
    assert store.load(index) == []
    with pytest.raises(InputError, match="is a second file of ann for batch 'b'"):
        store.import_files(index, [sheets[0], sheets[0]])
    with pytest.raises(InputError, match="no file is named"):
        store.import_files(index, [])


def test_a_sheet_is_not_overwritten_and_must_be_filled_in(index: Index, batch: Batch, tmp_path: Path) -> None:
    blank, _ = store.write_sheets(index, batch, ["ann"], tmp_path)
    with pytest.raises(InputError, match=r"b\.ann\.csv already exists, and may have been filled in"):
        store.write_sheets(index, batch, ["bob", "ann"], tmp_path)
    assert not (tmp_path / "b.bob.csv").exists()
    with pytest.raises(InputError, match="is blank: ann has annotated no cell of batch 'b'"):
        store.import_files(index, [blank])
    with pytest.raises(InputError, match="an annotator is named 'adjudicated'"):
        store.write_sheets(index, batch, ["adjudicated"], tmp_path)
    with pytest.raises(InputError, match="no annotator is given"):
        store.write_sheets(index, batch, [], tmp_path)


def test_a_file_of_another_index_is_refused(index: Index, sheets: list[Path]) -> None:
    store.import_files(index, sheets)
    edit_json(index.folder / "annotations" / "b.bob.json", lambda value: value.update(index="index-0"))
    with pytest.raises(InputError, match=r"b\.bob\.json, bob: cells\[0\]\.patterns\[0\] belongs to another index"):
        store.load(index)


def test_what_can_be_exported(index: Index, sheets: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InputError, match="has no annotations"):
        store.export(index, tmp_path / "all.csv")
    store.import_files(index, sheets)
    with pytest.raises(InputError, match=r"Expected a name that ends in \.csv or \.json"):
        store.export(index, tmp_path / "all.txt")
    store.export(index, tmp_path / "all.json")
    with pytest.raises(InputError, match="already exists"):
        store.export(index, tmp_path / "all.json")


def say(lines: list[Line], cell: str, patterns: dict[str, tuple[str, str]], marks: list[str]) -> None:
    """Fill in one cell."""
    for line in lines:
        if line["cell"] == cell and line["row"] == "pattern" and line["number"] in patterns:
            line["text"], line["class"] = patterns[line["number"]]
        if line["cell"] == cell and line["row"] == "trigger":
            line["patterns"] = marks[int(line["number"]) - 1]


def test_adjudication(index: Index, batch: Batch, tmp_path: Path) -> None:
    sheets = store.write_sheets(index, batch, ["ann", "bob"], tmp_path / "sheets")

    def ann(lines: list[Line]) -> None:
        say(lines, "1", {"1": ("same", "shallow")}, ["1", "1", "1", "", ""])  # as bob, who numbers otherwise
        say(lines, "2", {"1": ("ends alike", "shallow"), "2": ("rare", "semantic")}, ["1", "1", "1", "1 2", "0"])

    def bob(lines: list[Line]) -> None:
        say(lines, "1", {"3": ("the same", "shallow")}, ["3", "3", "3", "0", "0"])
        say(lines, "2", {"1": ("one topic", "semantic")}, ["1", "1", "1", "", ""])

    store.import_files(index, [edit(sheets[0], ann), edit(sheets[2], bob)])
    rows = adjudication_rows(batch, store.load(index))
    path, as_json = store.write_sheet(tmp_path / "b.adjudicated", rows, ADJUDICATION)
    lines = read_lines(path)
    assert {line["cell"] for line in lines} == {"2"} and len(lines) == 2 + 5  # on the first cell they agree
    assert [(line["text"], line["class"], line["said"]) for line in lines[:2]] == [
        ("ends alike", "", "ann: ends alike (shallow); bob: one topic (semantic)"),
        ("rare", "semantic", "ann: rare (semantic)"),
    ]
    assert [(line["patterns"], line["said"]) for line in lines[2:]] == [
        ("1", ""), ("1", ""), ("1", ""), ("", "ann: 1 2; bob: 0"), ("0", ""),
    ]  # fmt: skip
    with pytest.raises(InputError, match="the class of pattern 1 is ''"):
        store.import_files(index, [path])
    edit(path, lambda lines: lines[0].update({"class": "semantic"}))
    with pytest.raises(InputError) as error:
        store.import_files(index, [path])
    assert str(error.value) == (
        f"{path}, row 7: trigger 4 of cell 2 is undecided. Expected the numbers of the patterns that it contains, or 0. "
        "Decide what annotators differ on, and import the file again."
    )
    edit(path, lambda lines: lines[5].update(patterns="1"))
    edit(path, lambda lines: lines[1].update({"text": "", "class": ""}))
    (found,) = store.import_files(index, [path])
    assert (found.annotator, found.n_cells, found.invalid) == ("adjudicated", 1, ())
    summary = summarize(index, store.load(index))
    assert summary.all_layers.n_annotations == 3  # two of the first cell, one of the second
    assert summary.all_layers.shares["semantic"].value == pytest.approx(4 / 15)
    assert json.loads(as_json.read_text())["cells"][0]["triggers"][3]["patterns"] is None


def test_annotators_who_agree_leave_nothing_to_settle(index: Index, batch: Batch, tmp_path: Path) -> None:
    sheets = store.write_sheets(index, batch, ["ann", "bob"], tmp_path)
    store.import_files(index, [fill(sheets[0], 1), fill(sheets[2], 1)])
    assert adjudication_rows(batch, store.load(index)) == []
    assert len([line for line in read_lines(sheets[0]) if line["cell"] == "1"]) == N_PATTERN_ROWS + 5


def test_cells_are_found_by_what_annotators_said(index: Index, sheets: list[Path]) -> None:
    pytest.importorskip("fastapi", reason="the explorer needs the extra explorer")
    from ffmem.server.explorer import Explorer
    from ffmem.server.views.said import said_of_cells

    store.import_files(index, sheets)
    for words in ("*", "PATTERN", '"2", OF 3', "no such words"):
        wanted = {
            str(one.shown.cell)
            for one in store.load(index)
            if words == "*" or any(words.lower() in pattern.text.lower() for pattern in one.patterns)
        }
        found = {str(cell) for cell in said_of_cells(Explorer(index), words)}
        assert found == wanted and bool(wanted) == (words != "no such words")

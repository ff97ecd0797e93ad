"""From a sheet that is filled in to annotations: every form of it, and everything that may be wrong with it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, InputError
from ffmem.annotations.batches import Batch, draw
from ffmem.annotations.protocol import CellAnnotation
from ffmem.annotations.sheets import read_filled
from ffmem.annotations.store import import_files, load, write_sheets
from tests.annotations.filling import Line, edit, edit_json, fill, read_lines, write_lines


@pytest.fixture
def batch(index: Index) -> Batch:
    return draw(index, "b", layers=[0, 1, 2], per_layer=2, n_triggers=5)


@pytest.fixture
def sheet(index: Index, batch: Batch, tmp_path: Path) -> Path:
    """Filled in, but for the second cell."""
    return fill(write_sheets(index, batch, ["ann"], tmp_path)[0], 0, blank=("2",))


def annotations(index: Index, path: Path) -> tuple[CellAnnotation, ...]:
    (filled,) = read_filled(index, path)
    return filled.annotations


def test_a_sheet_says_what_was_filled_in(index: Index, batch: Batch, sheet: Path) -> None:
    (filled,) = read_filled(index, sheet)
    assert (filled.batch, filled.annotator, filled.n_blank) == ("b", "ann", 1)
    assert [one.shown for one in filled.annotations] == [batch.cells[0], *batch.cells[2:]]
    lines = [line for line in read_lines(sheet) if line["cell"] == "3" and line["row"] == "trigger"]
    third = filled.annotations[1]
    assert third.marks == tuple(frozenset(map(int, line["patterns"].split())) - {0} for line in lines)
    assert [(one.number, one.text, one.pattern_class) for one in third.patterns] == [
        (1, 'pattern "1", of 3', "shallow"),
        (2, 'pattern "2", of 3', "semantic"),
    ]


def test_csv_and_json_say_the_same(index: Index, sheet: Path) -> None:
    lines = read_lines(sheet)

    def copy(value: Any) -> None:
        for cell in value["cells"]:
            own = [line for line in lines if line["cell"] == str(cell["cell"])]
            described = [line for line in own if line["row"] == "pattern" and line["text"]]
            cell["patterns"] = [
                {"number": int(line["number"]), "text": line["text"], "class": line["class"]} for line in described
            ]
            marked = [line["patterns"] for line in own if line["row"] == "trigger"]
            for trigger, patterns in zip(cell["triggers"], marked, strict=True):
                if patterns:
                    trigger["patterns"] = [int(one) for one in patterns.split() if one != "0"]

    as_json = edit_json(sheet.with_suffix(".json"), copy)
    assert read_filled(index, as_json) == read_filled(index, sheet)


def test_spreadsheets_may_save_it_in_their_way(index: Index, sheet: Path, tmp_path: Path) -> None:
    expected = annotations(index, sheet)
    lines = read_lines(sheet)
    assert annotations(index, write_lines(tmp_path / "semicolons.csv", lines, ";")) == expected
    assert annotations(index, write_lines(tmp_path / "tabs.csv", lines, "\t")) == expected
    changed = [
        dict(reversed(line.items()))
        | {"class": line["class"].capitalize(), "patterns": line["patterns"].replace(" ", ", ")}
        for line in reversed(lines)
    ]
    found = annotations(index, write_lines(tmp_path / "turned.csv", changed))
    assert sorted(found, key=str) == sorted(expected, key=str)
    (tmp_path / "plain.csv").write_bytes(sheet.read_bytes()[3:].replace(b"\r\n", b"\n") + b",,,,,,,\n")
    assert annotations(index, tmp_path / "plain.csv") == expected


def test_no_pattern_at_all_is_an_answer(index: Index, sheet: Path) -> None:
    def none(lines: list[Line]) -> None:
        next(line for line in lines if line["cell"] == "2" and line["row"] == "trigger")["patterns"] = "0"

    found = annotations(index, edit(sheet, none))[1]
    assert found.patterns == () and {*found.labels} == {"not-covered"}


def one(lines: list[Line], row: str, number: str) -> Line:
    return next(line for line in lines if (line["cell"], line["row"], line["number"]) == ("3", row, number))


def put(kind: str, which: str, **values: str) -> Callable[[list[Line]], None]:
    return lambda lines: one(lines, kind, which).update(values)


def copy_of(row: str, number: str) -> Callable[[list[Line]], None]:
    return lambda lines: lines.append(dict(one(lines, row, number)))


# of 13 rows a cell, the third cell's patterns begin in row 28, its triggers in row 36
ERRORS: list[tuple[Callable[[list[Line]], Any], str]] = [
    (
        put("pattern", "1", **{"class": "deep"}),
        "row 28: the class of pattern 1 is 'deep'. Expected shallow or semantic. Write one of them, and import the file again.",
    ),
    (
        put("pattern", "1", **{"class": ""}),
        "row 28: the class of pattern 1 is ''. Expected shallow or semantic. Write one of them, and import the file again.",
    ),
    (
        put("pattern", "1", text=" "),
        "row 28: pattern 1 is not described. Expected its description as text. "
        "Describe it in words, and import the file again.",
    ),
    (
        put("pattern", "2", number="1"),
        "row 29: a second pattern 1 of cell 3. Expected one row for a pattern. "
        "Give it a number of its own, and import the file again.",
    ),
    (
        put("pattern", "1", number="0"),
        "row 28: a pattern has the number 0. Expected 1 or more. Give it a number of its own, and import the file again.",
    ),
    (
        put("pattern", "1", number="one"),
        "row 28: its number is 'one'. Expected a whole number. "
        "Write the number that the sheet had there, and import the file again.",
    ),
    (
        put("trigger", "2", patterns="1 7"),
        "row 37: trigger 2 of cell 3 has pattern 7, which is not described. Expected numbers of its patterns (1, 2), spaces "
        "between them; or 0. Describe the pattern in a row of its own, or correct the number, and import the file again.",
    ),
    (
        put("trigger", "2", patterns="0 1"),
        "row 37: trigger 2 of cell 3 has pattern 0, which is not described. Expected numbers of its patterns (1, 2), spaces "
        "between them; or 0. Describe the pattern in a row of its own, or correct the number, and import the file again.",
    ),
    (
        lambda lines: lines.remove(one(lines, "trigger", "2")),
        "row 28: cell 3 begins here, and has no row for trigger 2. Expected a row for each of its 5 triggers. "
        "Put the row back, from the sheet as it was drawn, and import the file again.",
    ),
    (
        copy_of("trigger", "2"),
        "row 80: a second row for trigger 2 of cell 3. Expected one row for a trigger. "
        "Delete one of them, and import the file again.",
    ),
    (
        put("trigger", "2", number="6"),
        "row 37: cell 3 has no trigger 6. Expected 1 to 5. "
        "Write the number that the sheet had there, and import the file again.",
    ),
    (
        put("trigger", "2", row="note"),
        "row 37: its kind of row is 'note'. Expected pattern or trigger. Write one of them, and import the file again.",
    ),
    (
        put("trigger", "2", cell="7"),
        "row 37: batch 'b' has no cell 7. Expected 1 to 6. Write the number that it had, and import the file again.",
    ),
]


@pytest.mark.parametrize(("change", "message"), ERRORS, ids=range(len(ERRORS)))
def test_what_is_wrong_is_named_with_its_row_and_nothing_is_stored(
    index: Index, sheet: Path, change: Callable[[list[Line]], Any], message: str
) -> None:
    import_files(index, [sheet])
    before = load(index)
    edit(sheet, change)
    with pytest.raises(InputError) as error:
        import_files(index, [sheet], replace=True)
    assert str(error.value) == f"{sheet}, {message}"
    assert load(index) == before


def test_a_changed_text_is_shown_beside_what_was_drawn(index: Index, batch: Batch, sheet: Path) -> None:
    edit(sheet, put("trigger", "2", text="something [else]"))
    with pytest.raises(InputError) as error:
        read_filled(index, sheet)
    assert str(error.value) == (
        f"{sheet}, row 37: the text of trigger 2 of cell 3 is 'something [else]'. Expected what was drawn, "
        f"{batch.cells[2].triggers[1].text[:200]!r}. Put the text back, and change only text and class of patterns, and "
        "patterns of triggers, and import the file again."
    )


def test_a_cell_that_is_gone(index: Index, sheet: Path) -> None:
    write_lines(sheet, [line for line in read_lines(sheet) if line["cell"] != "2"])
    with pytest.raises(InputError) as error:
        read_filled(index, sheet)
    assert str(error.value) == (
        f"{sheet} has no rows of cell 2. Expected all cells of batch 'b', from 1 to 6; one may be left blank. "
        "Put its rows back, from the sheet as it was drawn, and import the file again."
    )


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("annotator", "Ann", "row 2: 'Ann' is not a valid name for an annotator"),
        ("batch", "../b", "row 2: '../b' is not a valid name for a batch"),
        ("batch", "other", "row 2: {folder} has no batch 'other'"),
    ],
)
def test_names_that_are_wrong(index: Index, sheet: Path, column: str, value: str, message: str) -> None:
    write_lines(sheet, [line | {column: value} for line in read_lines(sheet)])
    with pytest.raises(InputError) as error:
        read_filled(index, sheet)
    assert error.value.got == f"{sheet}, {message.format(folder=index.folder)}"


@pytest.mark.parametrize(
    ("name", "data", "why", "mend"),
    [
        ("a.xlsx", b"", "its name ends in '.xlsx'", "Give a sheet or an export: a .csv or .json file"),
        ("a.csv", "cell,row,naïve".encode("latin-1"), "it is not UTF-8", "Save it as CSV UTF-8"),
        (
            "a.csv",
            b"cell,row\n1,2\n",
            "its first row is cell, row, and not cell, row, number, text, class, patterns, batch, annotator",
            "Save it again as CSV or JSON",
        ),
        (
            "a.csv",
            b"cell,row,number,text,class,patterns,batch,annotator\n1,trigger,1,a,,1,2,b,ann\n",
            "row 2 has more fields than there are columns",
            "Save it again as CSV or JSON",
        ),
        ("a.json", b'{"batch": "b"}', "it is not laid out as one ('cells')", "Save it again as CSV or JSON"),
        ("a.json", b"{}", "it is not laid out as one ('cells')", "Save it again as CSV or JSON"),
        ("gone.csv", None, "No such file or directory", "Check the path"),
    ],
)  # fmt: skip
def test_files_that_are_no_sheets(
    index: Index, tmp_path: Path, name: str, data: bytes | None, why: str, mend: str
) -> None:
    path = tmp_path / name
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(InputError) as error:
        read_filled(index, path)
    assert error.value.got == f"{path} cannot be read: {why}" and error.value.mend == mend


def test_json_is_read_strictly_and_names_the_place(index: Index, sheet: Path) -> None:
    path = sheet.with_suffix(".json")
    drawn = path.read_text()
    edit_json(path, lambda value: value["cells"][1]["triggers"][2].update(patterns=[1.5]))
    with pytest.raises(InputError, match=r"ann: cells\[1\].triggers\[2\] has \[1.5\], which is neither"):
        read_filled(index, path)
    path.write_text(drawn)
    edit_json(path, lambda value: value["cells"][1].update(comment="why not"))
    with pytest.raises(InputError, match=r"ann: cells\[1\].patterns\[0\] has 'comment', which does not belong there"):
        read_filled(index, path)
    path.write_text(drawn)
    edit_json(path, lambda value: value["cells"][1]["triggers"][2].update(patterns=[4]))
    with pytest.raises(InputError) as error:
        read_filled(index, path)
    assert error.value.got == (
        f"{path}, ann: cells[1].triggers[2]: trigger 3 of cell 2 has pattern 4, which is not described"
    )
    assert json.loads(drawn)["cells"][0]["triggers"][0].keys() == {"number", "text", "patterns"}

"""Names through training, given by hand."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

import ffmem
from ffmem import Index
from ffmem.names.people import say
from ffmem.studies.report import report_of
from ffmem.studies.runner import findings_of
from ffmem.studies.training.courses import arrays_of
from ffmem.studies.training.names import EXPERIMENT, NamesResult, names_of, settled_names, settled_share
from tests.studies.training.conftest import run


def test_names_that_come_and_stay(training_of: Callable[[str], Sequence[Index]], tmp_path: Path) -> None:
    indexes = [
        ffmem.open_index(shutil.copytree(one.folder, tmp_path / str(number)))
        for number, one in enumerate(training_of("wikilm"))
    ]
    given = {"L0.1": ["rivers", "rivers", "rivers", "rivers"], "L1.2": ["stones", None, "stones", "stones"],
             "L2.0": ["winter", "letters", "winter", "letters"], "L0.4": ["gone", "gone", "gone", None]}  # fmt: skip
    for cell, names in given.items():
        for index, name in zip(indexes, names, strict=True):
            if name:
                say(index, index.cell_id(cell), name)
    assert {str(cell): name for cell, name in names_of(indexes[0]).items()} == {
        cell: names[0] for cell, names in given.items()
    }
    results = run(indexes[:-1], indexes[-1])
    findings = findings_of(results)
    found, at = findings.get(EXPERIMENT, NamesResult), settled_names(findings)
    assert found.n_named == (4, 3, 4, 3)
    cells = [str(indexes[0].cells.cell_id(p, r)) for p in range(3) for r in range(indexes[0].cells.layers[p].n_cells)]
    settled = {cell: int(at[cells.index(cell)]) for cell in given}
    assert settled == {"L0.1": 0, "L1.2": 2, "L2.0": 3, "L0.4": -1} and (at >= 0).sum() == 3
    same = arrays_of(findings, EXPERIMENT)["same"].astype(bool)
    assert same[:, cells.index("L2.0")].tolist() == [False, True, False, True]
    assert [[one.value for one in course.values] for course in settled_share(findings)] == [
        [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 0, 1],
    ]  # fmt: skip
    report = report_of(results)
    assert "Names" in [section.name for section in report.sections] and not any(
        "Names:" in one for one in report.left_out
    )
    first = next(number for name, number in report.numbers if name == "Names" and "first moment" in number.quantity)
    assert first.ours == pytest.approx((1 + 1 + 0) / 3)

"""What people say about cells."""

from pathlib import Path

from ffmem.annotations.annotator_agreement import Agreement, PairAgreement
from ffmem.annotations.protocol import Pattern
from ffmem.annotations.store import Imported, Invalid
from ffmem.ids import CellId
from ffmem.render.annotations import agreement, imported


def test_an_import_names_no_cell() -> None:
    bad = Invalid(CellId(1, 3), "b", "ann", Pattern(2, "no\x07where", "shallow"), 1)
    lines = imported([Imported("b", "ann", 6, 1, "stored", (bad,))]).split("\n")
    assert lines[0] == "batch b, ann: 6 cells, 1 left blank; stored"
    assert lines[2] == "  pattern 2, 'no\\\\x07where': 1 triggers" and "L1" not in "".join(lines)


def test_agreement_of_a_pair() -> None:
    pair = PairAgreement(("ann", "bob"), 6, 0.5, (3, 4), 2, 0.25, 0.75, 1.0)
    *_, line, settle = agreement(Agreement(("ann", "bob"), 6, 36, 0.625, (pair,)), [Path("s.csv")]).split("\n")
    assert (
        line.split() == ["ann", "-", "bob", "6", "0.500", "3", "/", "4", "25.0%", "0.75", "100.0%"]
        and settle == "to settle: s.csv"
    )

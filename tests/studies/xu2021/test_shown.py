"""Rows of charts and tables, and numbers."""

from ffmem.studies.xu2021.shown import COLUMNS, lines, numbers_of, read_at, table_rows
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.shares import shares


def test_each_place_has_what_was_read_there_and_what_stands_beside(made: Made) -> None:
    findings = made(shares((0.5, 0.6), (0.2, 0.7)))
    assert list(read_at(findings, "dec.L0")) == ["decoder, trained W", "decoder, W = I"]
    rows = lines(findings)
    assert len(rows) == 2 * (5 + 2) + 2 * (2 + 2)
    assert {(row["layer"], row["name"]) for row in rows} == set(
        enumerate(("enc.embeddings", "enc.L0", "dec.embeddings", "dec.L0"))
    )
    (first, *_, last) = table_rows(findings, ("enc.L0",))
    assert set(COLUMNS) <= set(first) and (first["acc@1"], first["low"]) == (0.6, 0.6 - 0.05)
    assert last["read with"] == "commonest tokens" and last["acc@1"] == 0.12
    assert [one.ours for one in numbers_of(findings, ("dec.L0",))] == [0.7, 0.35, 0.7, 0.12]

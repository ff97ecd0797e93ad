"""A study's numbers as columns of text."""

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from ffmem.render.study import study, table
from ffmem.studies.exhibit import Claim, Number
from ffmem.studies.report import Report, Section
from ffmem.studies.verdicts import Test


def section(name: str, numbers: tuple[Number, ...], claims: tuple[Claim, ...] = ()) -> Section:
    return Section(name, "t", "q", "d", "c", "r", "s", numbers, claims, (), (), ())


def report(*sections: Section) -> Report:
    return Report(
        study="toy", key="k", model="m", corpus="c", options={}, kicker="", paper="", title="m over c", intro="", note="",
        facts=(), left_out=(), sections=sections, costs=(),
    )  # fmt: skip


def test_numbers_stand_below_their_figure_and_beside_the_papers() -> None:
    first = section("Figure 4", (Number("rate", "~3.5 %", 0.0625), Number("n", "-", 1234, unit="")))
    second = section(
        "Table 2",
        (Number("none", "5 %", float("nan")),),
        (Claim("it rises", Test(0.5, 0.1, 10, 0.001, 1.0), "2 > 1", "shown"),),
    )
    assert study(report(first, second), Path("out/page.html")).split("\n") == [
        "m over c",
        "",
        "  quantity  paper   here",
        "Figure 4",
        "  rate      ~3.5 %  6.2 %",
        "  n         -       1,234",
        "Table 2",
        "  none      5 %     nothing to estimate it from",
        "",
        "  claim     here   because",
        "Table 2",
        "  it rises  shown  2 > 1",
        "",
        "The page: out/page.html",
    ]


def test_what_has_neither_numbers_nor_claims_has_no_table() -> None:
    assert study(report(), Path("p.html")) == "m over c\n\nThe page: p.html"


CELL = st.text(st.characters(codec="ascii", categories=["L", "N"]), min_size=1, max_size=9)


@given(st.lists(st.tuples(st.sampled_from("ab"), CELL, CELL), min_size=1, max_size=6))
def test_columns_stand_one_below_the_other(rows: list[tuple[str, str, str]]) -> None:
    lines = table([("", "first", "second"), *rows]).split("\n")
    begin = lines[0].index("second")
    body = [line for line in lines[1:] if line.startswith(" ")]
    assert [(line[2:begin].rstrip(), line[begin:]) for line in body] == [(one, two) for _, one, two in rows]
    assert begin == 2 + max(len(one) for one in ("first", *(row[1] for row in rows))) + 2
    names = [row[0] for row in rows]
    assert [line for line in lines if not line.startswith(" ")] == [
        name for i, name in enumerate(names) if i == 0 or names[i - 1] != name
    ]

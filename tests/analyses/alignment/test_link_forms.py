"""One set of links, written in every form that is around, is read the same; what is no such form is refused by line."""

import random
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.analyses.alignment.links import Links, read_links
from ffmem.analyses.alignment.pairs import Pair
from ffmem.errors import InputError
from tests.analyses.alignment.gold import GIZA, PAIRS, written

WORDS = ("das", "ist", "gut", "a\u00a0b", "1-1", "({", "S", "#", "日本", "x|y", "NULL", "7", "[x]")
"""Some that look like links or marks, and one with white space that parts nothing."""


@dataclass(frozen=True)
class Case:
    """Text, and its links."""

    pairs: list[Pair]
    links: list[Links]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    sides = st.lists(st.sampled_from(WORDS), min_size=1, max_size=5).map(tuple)
    pairs, links = [], []
    for _ in range(draw(st.integers(1, 4))):
        pair = Pair(draw(sides), draw(sides))
        every = [(i, j) for i in range(len(pair.source)) for j in range(len(pair.target))]
        possible = draw(st.frozensets(st.sampled_from(every), max_size=6))
        sure = draw(st.frozensets(st.sampled_from(sorted(possible)), max_size=6)) if possible else frozenset()
        pairs.append(pair)
        links.append(Links(sure, possible))
    return Case(pairs, links)


Draw = Callable[..., str]


def links_by_line(case: Case, base: int, inverse: bool, draw: Draw, sure_only: bool) -> list[str]:
    """The links of each pair, in any order, each with any mark and score that says the same."""
    scores = ("", ":0.93", "/0.9", "|0.8", "-0.5", "-1.0", ":1", "|1e-05", "/-2.3", "-.5", ":0")
    lines = []
    for one in case.links:
        written = []
        for link in sorted(one.possible):
            i, j = (number + base for number in (link[::-1] if inverse else link))
            text = (
                draw(f"{i}-{j}", f"{i}-{j}S")
                if sure_only or link in one.sure
                else draw(f"{i}p{j}", f"{i}?{j}", f"{i}-{j}P")
            )
            written.append(text + draw(*scores))
        order = sorted(written, key=lambda text: draw(*map(str, range(9))) + text)
        lines.append(draw("", " ", "\t") + draw(" ", "\t", "  ", " \t").join(order) + draw("", " ", "\t", " \t "))
    return lines


def as_lines(case: Case, base: int, inverse: bool, draw: Draw, sure_only: bool) -> str:
    lines = links_by_line(case, base, inverse, draw, sure_only)
    dress = draw("plain", "numbers", "score", "texts", "texts and score")
    first = int(draw("0", "1", "17"))
    for number, (line, pair) in enumerate(zip(lines, case.pairs, strict=True)):
        sides = [" ".join(side) for side in (pair.source, pair.target)[:: -1 if inverse else 1]]
        lines[number] = {
            "plain": line,
            "numbers": f"{number + first}\t{line}",
            "score": f"{line} ||| -12.5",
            "texts": f"{sides[0]} ||| {sides[1]} ||| {line}",
            "texts and score": f"{sides[0]} ||| {sides[1]} ||| {line}|||-1e2",
        }[dress]
    if draw("", "comment"):
        lines.insert(int(draw("0", "1")), "# made by hand")
    end = draw("\n", "\r\n", "\r")
    surplus = draw("", end, end + end) if dress != "numbers" else ""
    # without an end, a last line that is empty would be no line
    return end.join(lines) + (end + surplus if surplus or not lines[-1].strip() else draw("", end))


def as_rows(case: Case, base: int, inverse: bool, draw: Draw, sure_only: bool) -> str:
    rows = []
    for number, one in enumerate(case.links, 1):
        for link in sorted(one.possible):
            i, j = (word + base for word in (link[::-1] if inverse else link))
            sure = sure_only or link in one.sure
            mark = draw("", " S", "\tS") if sure else draw(" P", "\tP")
            rows.append(
                draw(f"{number}", f"{number:04}") + f"{draw(' ', chr(9))}{i} {j}{mark}{draw('', ' 0.25', ' 1')}"
            )
    rows = sorted(rows, key=lambda row: draw(*map(str, range(9))) + row)
    return "".join(row + draw("\n", "\r\n", " \n", "\n\n") for row in rows)


def as_giza(case: Case, inverse: bool, draw: Draw) -> str:
    """All links sure; the first side has the positions of the second, from 1."""
    blocks = []
    for number, (pair, one) in enumerate(zip(case.pairs, case.links, strict=True), 1):
        first, second = (pair.source, pair.target)[:: -1 if inverse else 1]
        links = {link[::-1] if inverse else link for link in one.possible}
        linked = [[j + 1 for k, j in sorted(links) if k == i] for i in range(len(first))]
        free = [j + 1 for j in range(len(second)) if j not in {j for _, j in links}]
        shown = " ".join(
            f"{word} ({{ {''.join(f'{j} ' for j in places)}}})"
            for word, places in zip(("NULL", *first), (free, *linked), strict=True)
        )
        head = (
            f"# Sentence pair ({number}) source length {len(first)} target length {len(second)} alignment score : 1e-9"
        )
        blocks.append(f"{head}\n{' '.join(second)} \n{shown} \n")
    return draw("", "\ufeff") + "".join(sorted(blocks, key=lambda block: draw(*map(str, range(9))) + block))


def read(text: str, case: Case, base: int | None, inverse: bool) -> list[Links]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "links"
        path.write_bytes(text.encode())
        return read_links(path, case.pairs, base=base, inverse=inverse)


@settings(max_examples=150)
@given(cases(), st.sampled_from([0, 1]), st.booleans(), st.booleans(), st.integers(0, 2**32))
def test_every_form_says_the_same(case: Case, base: int, inverse: bool, sure_only: bool, seed: int) -> None:
    dice = random.Random(seed)  # a draw of hypothesis for each blank would take seconds

    def draw(*choices: str) -> str:
        return dice.choice(choices)

    expected = [Links(one.possible, one.possible) for one in case.links] if sure_only else case.links
    assert read(as_lines(case, base, inverse, draw, sure_only), case, base, inverse) == expected
    rows = as_rows(case, base, inverse, draw, sure_only)
    if rows:
        assert read(rows, case, base, inverse) == expected
    whole = [Links(one.possible, one.possible) for one in case.links]
    assert read(as_giza(case, inverse, draw), case, draw("", "1") == "1" or None, inverse) == whole


@pytest.mark.parametrize(
    "link",
    ["0-", "-1-0", "0--1", "0.0-1", "0\u00a00", "0-0\u00a01-1", "0\u20110", "٣-٣", "²-1", "0-0-1", "0-0-5", "0-0--0.5",
     "0-0:2.5", "0-0:nan", "0-0:inf", "0-0:", "0-0/x", "0-1s", "0P1", "0p1S", "0p1P", "0-1SP", "0:0", "0/0", "0,0", "0=0",
     "0-1=0-2", "0-0;1-1", "0 0", "0-0 S", "0-0 # so", "S", "9999999999-0", f"{'9' * 5000}-0", "das", "0-0 ||| x",
     "0-0 ||| -1 ||| -2",
     "a ||| b ||| c ||| d ||| e", "0x0-1"],
)  # fmt: skip
@pytest.mark.parametrize("number", [1, 2])
def test_what_is_no_link_is_refused_by_line(link: str, number: int, tmp_path: Path) -> None:
    lines = ["0-0", "0-1"]
    lines[number - 1] = link
    with pytest.raises(InputError, match=f"gold, line {number}: "):
        read_links(written(tmp_path, "\n".join(lines) + "\n"), PAIRS, base=0)


@pytest.mark.parametrize(
    "row", ["1 0 0 Q", "1 0", "1 0 0 S P", "1 0 0 0.5 S", "3 0 0", "0 0 0", "1 -1 0", "1-1", "1 0 0 S 0.5 0.5"]
)
def test_what_is_no_row_is_refused_by_line(row: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gold, line 2: .*from 1 to 2"):
        read_links(written(tmp_path, f"1 0 0 S 0.9\n{row}\n"), PAIRS, base=0)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("(2)", "(1)", "line 4: it is about pair 1, and so is line 1"),
        ("(2)", "(3)", "line 4: it is about pair 3.*numbered from 1 to 2"),
        ("(2)", "(x)", "line 4: .*is not as GIZA"),
        ("source length 3", "source length 4", "line 1: .*as many words as the head says"),
        ("no way\n", "", "line 4: .*is not as GIZA"),
        ("no way", "no way out", "line 4: .*as many words as the head says"),
        ("ist ({ 2 })", "ist ({ 2 }", "line 3: 'ist"),
        ("ist ({ 2 })", "ist ({ 4 })", "line 3: .*points beyond the 3 source and 3 target words of pair 1"),
        ("NULL ({ 2 }) nein", "nein", "line 6: .*NULL"),
        (GIZA[GIZA.index("# Sentence pair (2)") :], "", "has 1 pairs, and the text 2: pair 2 is missing"),
    ],
)
def test_a_damaged_file_of_giza_is_refused(old: str, new: str, message: str, tmp_path: Path) -> None:
    assert [sorted(one.sure) for one in read_links(written(tmp_path, GIZA), PAIRS, base=None)] == [
        [(0, 0), (1, 1), (2, 2)],
        [(0, 0)],
    ]
    assert old in GIZA
    with pytest.raises(InputError, match=message):
        read_links(written(tmp_path, GIZA.replace(old, new)), PAIRS, base=1)


def test_numbers_of_lines_must_go_up_by_one(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 2: '3\\t0-0' does not begin with the number of the line"):
        read_links(written(tmp_path, "1\t0-0\n3\t0-0\n"), PAIRS, base=0)
    with pytest.raises(InputError, match="line 2: '0-0' does not begin with the number"):
        read_links(written(tmp_path, "1\t0-0\n0-0\n"), PAIRS, base=0)


@pytest.mark.parametrize("text", ['{"alignment": [[0, 0]]}\n{}\n', "[(0, 0)]\n[]\n", "[[0, 0]]\n[]\n"])
def test_json_and_python_are_refused_with_what_to_write(text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gold, line 1: it begins with .*Write each link as i-j"):
        read_links(written(tmp_path, text), PAIRS, base=0)


def test_a_wrong_line_is_told_before_a_wrong_number_of_lines(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="gold, line 1: 'das' is not a link"):
        read_links(written(tmp_path, "das ist gut\nnein\nja\n"), PAIRS, base=0)
    with pytest.raises(InputError, match="gold has 3 lines, the text has 2"):
        read_links(written(tmp_path, "0-0\n\n0-0\n"), PAIRS, base=0)
    with pytest.raises(InputError, match="gold has 1 lines, the text has 2"):
        read_links(written(tmp_path, "0-0\n"), PAIRS, base=0)

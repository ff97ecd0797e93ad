"""Links as people and aligners write them, held against the text that they belong to."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.alignment.links import LeftOut, Links, all_sure, as_talp, read_link_file, read_links
from ffmem.analyses.alignment.pairs import Pair
from ffmem.errors import InputError
from tests.analyses.alignment.gold import GIZA, PAIRS, written

WRITTEN = Links(frozenset({(0, 0), (2, 2)}), frozenset({(0, 0), (2, 2), (1, 1)}))


@pytest.mark.parametrize(
    ("text", "base", "inverse"),
    [
        ("0-0 2-2 1p1\n\n", 0, False),
        ("1-1 3-3 2p2 2p2\n\n", 1, False),
        ("0-0 2-2 1?1\n\n", 0, True),
        ("1-1S 3-3S 2-2P 3-3P\n\n", 1, False),  # sure and possible is sure
        ("0\t0-0 2-2 1p1\n1\t\n", 0, False),
        ("1 1 1 S\n1 3 3\n1 2 2 P\n", 1, False),
    ],
)
def test_forms_of_links(text: str, base: int, inverse: bool, tmp_path: Path) -> None:
    links = read_links(written(tmp_path, text), PAIRS, base=base, inverse=inverse)
    assert links == [WRITTEN, Links(frozenset(), frozenset())]


def test_links_may_have_the_target_first(tmp_path: Path) -> None:
    gold = written(tmp_path, "0-2\n1-0\n")
    assert [sorted(one.sure) for one in read_links(gold, PAIRS, base=0, inverse=True)] == [[(2, 0)], [(0, 1)]]


@pytest.mark.parametrize(
    ("text", "base", "message"),
    [
        (
            "0-0\n1-1\n",
            0,
            "gold, line 2: '1-1' points beyond the 1 source and 2 target words.*from 0 up.*counts from 1",
        ),
        ("0-0\n\n", 1, "gold, line 1: '0-0' points beyond .*from 1 up, since --base is 1.*counts from 0"),
        ("0-3\n\n", 0, "gold, line 1: '0-3' points beyond the 3 source and 3 target words"),
        ("0-0\n", 0, "gold has 1 lines, the text has 2: line 2 of the text has no partner"),
        ("0-0\n0-0\n0-0\n", 0, "gold has 3 lines, the text has 2: line 3 of .*gold has no partner"),
        ("0-0 1:1\n\n", 0, "gold, line 1: '1:1' is not a link"),
        ("0-0\n0p1S\n", 0, "gold, line 2: '0p1S' is not a link"),
        ("1 1 1\n3 1 1 S\n", 1, "gold, line 2: '3 1 1 S' is not a link of this text.*from 1 to 2"),
        ("1 1 1\n2 2 1 S\n", 1, "gold, line 2: '2 2 1 S' points beyond the 1 source and 2 target words"),
        ("0-0\n\n", 2, "--base is 2.*Expected 0 or 1"),
    ],
)
def test_what_is_wrong_with_links_is_said_with_file_and_line(
    text: str, base: int, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        read_links(written(tmp_path, text), PAIRS, base=base)


def test_links_are_written_by_the_target_words() -> None:
    assert as_talp(frozenset({(2, 0), (0, 2), (1, 0)})) == "1-0 2-0 0-2"


@given(st.lists(st.frozensets(st.tuples(st.integers(0, 12), st.integers(0, 12))), min_size=1, max_size=4))
def test_what_is_written_is_read_again(links: list[frozenset[tuple[int, int]]]) -> None:
    pairs = [Pair(("a",) * 13, ("b",) * 13)] * len(links)
    with tempfile.TemporaryDirectory() as folder:
        path = written(Path(folder), "".join(as_talp(one) + "\n" for one in links))
        assert read_links(path, pairs, base=0) == [all_sure(one) for one in links]


def test_links_to_no_word_may_be_left_out_but_not_all_of_them(tmp_path: Path) -> None:
    """Otherwise a file of another text would be one without links."""
    path = written(tmp_path, "7-7 8-8\n9-9\n")
    with pytest.raises(InputError, match="gold, line 1: '7-7' points beyond the 3 source and 3 target words of pair 1"):
        read_link_file(path, PAIRS, base=0, drop_bad_links=True)


def test_the_option_that_a_base_came_from_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, "0-0\n\n")
    with pytest.raises(InputError, match=r"--system-base is 7.*Write --system-base 0 or --system-base 1"):
        read_link_file(path, PAIRS, base=7, base_option="--system-base")
    with pytest.raises(InputError, match=r"Expected numbers from 1 up, since --system-base is 1"):
        read_link_file(path, PAIRS, base=1, base_option="--system-base")
    with pytest.raises(InputError, match=r"given without --system-base.*line 1 has '0-0'.*Write --system-base 0"):
        read_link_file(path, PAIRS, base=None, base_option="--system-base")


def test_a_text_that_is_another_one_is_refused_and_one_that_is_spelled_otherwise_is_not(tmp_path: Path) -> None:
    """Aligners write &apos; for an apostrophe, or lower-case: half of the words may differ, and no more."""
    line = "{} ||| That is good ||| 0-0 2-2\nnein ||| no way ||| \n"
    path = written(tmp_path, line.format("Das x y"))
    assert [sorted(one.sure) for one in read_links(path, PAIRS, base=0)] == [[(0, 0), (2, 2)], []]
    path = written(tmp_path, line.replace("is good", "q r").format("x y z").replace("That", "p"))
    with pytest.raises(InputError, match=r"gold, line 1: 6 of its 6 words are not those of pair 1.*Give the text"):
        read_links(path, PAIRS, base=0)


@pytest.mark.parametrize("base", [0, 1])
def test_links_beyond_the_words_are_refused_or_counted(base: int, tmp_path: Path) -> None:
    good, bad = f"{base}-{base} {base}p{base + 2}", f"{base + 3}-{base}"
    path = written(tmp_path, f"{good} {bad}\n{base}-{base + 1}\t{base}-{base + 7}\n")
    with pytest.raises(InputError, match=f"gold, line 1: '{bad}' points beyond the 3 .*--drop-bad-links leaves such"):
        read_link_file(path, PAIRS, base=base)
    file = read_link_file(path, PAIRS, base=base, drop_bad_links=True)
    assert [sorted(one.sure) for one in file.links] == [[(0, 0)], [(0, 1)]]
    assert [sorted(one.possible) for one in file.links] == [[(0, 0), (0, 2)], [(0, 1)]]
    assert file.left_out == LeftOut("gold", 2, 5, 1, bad)
    assert read_link_file(written(tmp_path, f"{good}\n\n"), PAIRS, base=base, drop_bad_links=True).left_out is None


@pytest.mark.parametrize(
    ("text", "base", "inverse", "told"),
    [
        ("1-1 3-3\n1-2\n", 0, False, "--base 1, without --inverse, 0 would"),
        ("0-0 2-2\n0-1\n", 1, False, "--base 0, without --inverse, 0 would"),
        ("0-0\n1-0\n", 0, False, "--base 0, with --inverse, 0 would"),
        ("0-0\n0-1\n", 0, True, "--base 0, without --inverse, 0 would"),
    ],
)
def test_links_are_not_left_out_where_they_were_only_misread(
    text: str, base: int, inverse: bool, told: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=told):
        read_link_file(written(tmp_path, text), PAIRS, base=base, inverse=inverse, drop_bad_links=True)


def test_without_a_base_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"gold is given without --base.*Write --base 1 or --base 0"):
        read_links(written(tmp_path, "1-1\n\n"), PAIRS, base=None)
    with pytest.raises(InputError, match=r"gold is given without --base.*line 2 has '0-0'.*Write --base 0"):
        read_links(written(tmp_path, "1-1\n0-0\n"), PAIRS, base=None)


def test_a_file_with_its_own_text_must_have_this_text(tmp_path: Path) -> None:
    turned = [Pair(pair.target, pair.source) for pair in PAIRS]
    with pytest.raises(InputError, match=r"line 3: its first side has the words of the target.*Add --inverse"):
        read_links(written(tmp_path, GIZA), turned, base=1)
    assert read_links(written(tmp_path, GIZA), turned, base=1, inverse=True)[1].sure == {(0, 0)}
    with pytest.raises(InputError, match=r"its first side has the words of the source.*Leave --inverse out"):
        read_links(written(tmp_path, GIZA), PAIRS, base=1, inverse=True)
    with pytest.raises(InputError, match=r"--base is 0, and .*gold is a file of GIZA.*Leave --base out"):
        read_links(written(tmp_path, GIZA), PAIRS, base=0)
    with pytest.raises(InputError, match="line 2: it has 2 and 2 words, and pair 2 has 1 and 2"):
        read_links(
            written(tmp_path, "Das ist gut ||| that is good ||| 0-0\nnein nein ||| no way ||| 0-0\n"), PAIRS, base=0
        )

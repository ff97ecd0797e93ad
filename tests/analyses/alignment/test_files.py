"""Pairs and links as people and aligners write them."""

import gzip
from pathlib import Path

import pytest

from ffmem.analyses.alignment.links import Links, as_talp, read_links
from ffmem.analyses.alignment.pairs import Pair, read_pairs
from ffmem.errors import InputError

PAIRS = [Pair(("das", "ist", "gut"), ("that", "is", "good")), Pair(("nein",), ("no", "way"))]


def written(folder: Path, name: str, text: str) -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_pairs_of_two_files_or_of_one(tmp_path: Path) -> None:
    source, target = written(tmp_path, "de", "das ist  gut\nnein\n"), written(tmp_path, "en", "that is good\r\nno way")
    assert read_pairs(source, target) == PAIRS
    assert read_pairs(written(tmp_path, "both", "das ist gut ||| that is good\nnein ||| no way\n")) == PAIRS
    packed = tmp_path / "de.gz"
    packed.write_bytes(gzip.compress(source.read_bytes()))
    assert read_pairs(packed, target) == PAIRS
    raw = written(tmp_path, "raw", "Nein, nie-mals!\n")
    assert read_pairs(raw, raw)[0].source == ("Nein,", "nie-mals!")
    assert read_pairs(raw, raw, cut="marks")[0].source == ("Nein", ",", "nie", "-", "mals", "!")


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ("a\nb\nc\n", "a\nb\n", "source has 3 lines, .*target has 2: line 3 of .*source has no partner"),
        ("a\n", "a\nb\n", "line 2 of .*target has no partner.*Look for a line that was cut or joined"),
        ("a\n \n", "a\nb\n", "source, line 2: it has no words on one side"),
        ("a ||| b\nc\n", None, r"source, line 2: it has \|\|\| 0 times, not once"),
        ("a ||| b ||| c\n", None, r"source, line 1: it has \|\|\| 2 times, not once"),
        ("", None, "source is empty"),
    ],
)
def test_what_is_wrong_with_pairs_is_said_with_file_and_line(
    source: str, target: str | None, message: str, tmp_path: Path
) -> None:
    paths = [written(tmp_path, "source", source)] + ([] if target is None else [written(tmp_path, "target", target)])
    with pytest.raises(InputError, match=message):
        read_pairs(*paths)


def test_files_that_are_no_text(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none cannot be read"):
        read_pairs(tmp_path / "none")
    (tmp_path / "latin").write_bytes("schön ||| nice".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin cannot be read.*Expected a text file, UTF-8"):
        read_pairs(tmp_path / "latin")
    (tmp_path / "cut.gz").write_bytes(gzip.compress(b"a ||| b\n" * 99)[:-9])
    with pytest.raises(InputError, match=r"cut\.gz cannot be read"):
        read_pairs(tmp_path / "cut.gz")


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
    links = read_links(written(tmp_path, "gold", text), PAIRS, base=base, inverse=inverse)
    assert links == [WRITTEN, Links(frozenset(), frozenset())]


def test_links_may_have_the_target_first(tmp_path: Path) -> None:
    gold = written(tmp_path, "gold", "0-2\n1-0\n")
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
        read_links(written(tmp_path, "gold", text), PAIRS, base=base)


def test_links_are_written_by_the_target_words(tmp_path: Path) -> None:
    links = frozenset({(2, 0), (0, 2), (1, 0)})
    assert as_talp(links) == "1-0 2-0 0-2"
    assert read_links(written(tmp_path, "out", as_talp(links) + "\n\n"), PAIRS, base=0)[0].sure == links

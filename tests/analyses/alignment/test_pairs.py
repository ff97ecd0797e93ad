"""Pairs of sentences as files of parallel text have them."""

import gzip
import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.analyses.alignment.pairs import Pair, read_lines, read_pairs, same_length, split_words
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
        ("a ||| b\nc\n", None, r"source, line 2: it has 0 times \|\|\|"),
        ("a ||| b ||| c\n", None, r"source, line 1: it has 2 times \|\|\|"),
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


ODD = "\u00a0\u0085\v\f\x1c\x1d\x1e\x1f\u1680\u2003\u2028\u2029\u202f\u3000\ufeff"
"""White space of one standard or another, which parts neither words nor lines here."""
ODD_WORDS = st.lists(st.text(st.sampled_from(f"aé日{ODD}"), min_size=1, max_size=3), min_size=1, max_size=4)


@given(st.lists(ODD_WORDS, min_size=1, max_size=4), st.sampled_from(["\n", "\r\n", "\r"]), st.integers(0, 2**32))
def test_only_blanks_and_tabs_part_words_and_only_line_ends_lines(lines: list[list[str]], end: str, seed: int) -> None:
    """Against what was written: no reader of the standard library is asked."""
    dice = random.Random(seed)
    blanks = (" ", "\t", "  ", " \t ")
    text = end.join(dice.choice(("", *blanks)) + dice.choice(blanks).join(words) for words in lines)
    with tempfile.TemporaryDirectory() as folder:
        plain, packed = Path(folder) / "text", Path(folder) / "text.gz"
        plain.write_bytes(b"\xef\xbb\xbf" + text.encode())
        packed.write_bytes(gzip.compress(b"\xef\xbb\xbf" + (text + end).encode()))
        assert read_pairs(plain, packed) == [Pair(tuple(words), tuple(words)) for words in lines]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-16-be", "utf-32-le"])
def test_other_encodings_are_refused(encoding: str, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("das ist\ngut\n".encode(encoding))
    with pytest.raises(InputError, match=r"text(, line 1)?(:| is) .*UTF-(16|32).*iconv -f UTF-(16|32)"):
        read_pairs(path, path)


def test_marks_are_cut_off_words_with_what_combines_with_them(tmp_path: Path) -> None:
    path = written(tmp_path, "text", "हिन्दी, cafe\u0301! 10\u00a0000\u00a0€\n")
    assert read_pairs(path, path, cut="marks")[0].source == ("हिन्दी", ",", "cafe\u0301", "!", "10", "000", "€")
    assert read_pairs(path, path)[0].source == ("हिन्दी,", "cafe\u0301!", "10\u00a0000\u00a0€")


def test_a_file_of_utf_16_without_its_mark_is_told_by_its_first_nul(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes(b"one\ntwo\nth\0ree\n")
    with pytest.raises(InputError, match=r"text, line 3: there is a NUL.*iconv -f UTF-16LE -t UTF-8"):
        read_lines(path)


def test_lines_end_as_they_do_on_any_system(tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_bytes("\ufeffa\r\nb\rc\n\nd\u2028e\x0bf".encode())
    assert read_lines(path) == ["a", "b", "c", "", "d\u2028e\x0bf"]
    path.write_bytes(b"a\n\n")
    assert read_lines(path) == ["a", ""]  # the second line is there, and empty


@given(st.text(" \tab\u00a0", max_size=12))
def test_words_are_what_is_left_between_blanks(text: str) -> None:
    """Against a loop over characters."""
    words, word = [], ""
    for character in text + " ":
        if character in " \t":
            words, word = words + [word] * bool(word), ""
        else:
            word += character
    assert split_words(text) == words


def test_another_way_to_cut_words_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, "de", "das ist gut\n")
    assert read_pairs(path, path, cut="marks")[0] == read_pairs(path, path)[0]
    same_length(path, ["a"], path, [1])
    with pytest.raises(InputError, match=r"x has 1,000 lines, y has 1,200: line 1,001 of y has no partner"):
        same_length("x", [""] * 1000, "y", [""] * 1200)

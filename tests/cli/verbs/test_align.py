"""`ffmem align`, as a user runs it."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ffmem.analyses.alignment.links import read_links
from ffmem.analyses.alignment.pairs import read_pairs
from ffmem.cli import main

SOURCE = ["the quick brown fox", "rivers and stones !", "lazy dog"]
TARGET = ["winter letters", "windows wait", "the market in the morning"]
GOLD = ["1-1 4p2", "1-1 3-2", ""]


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    made = {}
    for name, lines in (("source", SOURCE), ("target", TARGET), ("gold", GOLD)):
        made[name] = tmp_path / name
        made[name].write_text("".join(f"{line}\n" for line in lines))
    return made


@pytest.fixture
def ffmem(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str, str]]:
    def run(*arguments: object, expect: int = 0) -> tuple[str, str]:
        monkeypatch.setattr(sys, "argv", ["ffmem", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        shown = capsys.readouterr()
        assert code == expect, shown
        return shown.out, shown.err

    return run


def test_a_table_files_and_json(
    files: dict[str, Path],
    ffmem: Callable[..., tuple[str, str]],
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
) -> None:
    model, out = tiny_folder("marian"), tmp_path / "out"
    command = ("align", model, files["source"], files["target"], "--gold", files["gold"], "--base", 1)
    shown, progress = ffmem(*command, "--out", out, "--pick", "L2.H3:AWO:weights")
    assert "reading attention" in progress and "Against the gold links" in shown and "L2.H3" in shown
    study = json.loads((out / "alignment.json").read_text())
    assert len(study["rows"]) == 3 * 5 * 4 and study["pairs"] == 3 and study["against"] == "gold"
    pairs = read_pairs(files["source"], files["target"])
    assert read_links(out / "links.talp", pairs, base=0)  # within the words, a line each
    again = json.loads(ffmem(*command, "--system", out / "links.talp", "--system-base", 0, "--json", "--quiet")[0])
    assert again["rows"] == study["rows"]
    files["gold"].write_text("1-1 4p2 9-1\n1-1 3-2\n2-7\n")
    assert "gold, line 1: '9-1' points beyond" in ffmem(*command, expect=2)[1]
    dropped = ("--drop-bad-links", "--out", out)
    shown, _ = ffmem(*command, *dropped)
    assert (
        "Left out of gold: 2 of 6 links, which point beyond the words of their pair (the first on line 1: 9-1)" in shown
    )
    written = json.loads((out / "alignment.json").read_text())
    assert written["rows"] == study["rows"] and study["left_out"] == []
    assert written["left_out"] == [{"name": "gold", "n_links": 2, "n_read": 6, "first_line": 1, "first_link": "9-1"}]
    picked = next(
        row for row in study["rows"] if (row["place"], row["reading"], row["measure"]) == ("L2.H3", "AWO", "weights")
    )
    other = next(one for one in again["others"] if one["name"] == "links.talp")
    assert other["aer"] == picked["aer"] and other["links"] == picked["links"]


def test_what_a_user_can_mend(
    files: dict[str, Path], ffmem: Callable[..., tuple[str, str]], tiny_folder: Callable[[str], Path]
) -> None:
    model, source, target, gold = tiny_folder("marian"), files["source"], files["target"], files["gold"]
    wrong = ffmem("align", model, source, target, "--gold", gold, expect=2)[1]
    assert "gold is given without --base" in wrong and "Write --base 1 or --base 0" in wrong
    wrong = ffmem("align", model, source, target, "--gold", gold, "--base", 0, expect=2)[1]
    assert "gold, line 1: '4p2' points beyond the 4 source and 2 target words" in wrong
    wrong = ffmem("align", model, source, expect=2)[1]
    assert "source, line 1: it has ||| 0 times, not once" in wrong
    target.write_text("one\ntwo\n")
    wrong = ffmem("align", model, source, target, expect=2)[1]
    assert "source has 3 lines" in wrong and "line 3 of" in wrong
    target.write_text("one\ntwo\nthree\n")
    wrong = ffmem("align", model, source, target, "--more-target", target, expect=2)[1]
    assert "--more-target is given without --more-source" in wrong
    wrong = ffmem("align", model, source, target, "--words", "letters", expect=2)[1]
    assert "--words is 'letters'. Expected one of: spaces, marks" in wrong
    gold.write_text("1-1\n\n\n")
    wrong = ffmem("align", tiny_folder("gpt2"), source, target, "--gold", gold, "--base", 1, expect=2)[1]
    assert "gpt2 has no cross-attention" in wrong

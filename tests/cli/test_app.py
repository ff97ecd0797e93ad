"""What is typed and means nothing is refused when it is read, before any file is."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cyclopts import CycloptsError

from ffmem import Index, InputError
from ffmem.cli import app, reference

REFERENCE = reference()
EVERY_WHOLE_NUMBER = [
    (command, option)
    for command, text in re.findall(r"^##+ ffmem ([\w -]+)\n(.*?)(?=^##|\Z)", REFERENCE, re.MULTILINE | re.DOTALL)
    for option in re.findall(r"^\* `(--[a-z-]+) INT`", text, re.MULTILINE)
]


def _typed(command: str) -> list[str]:
    """A command with all that it must have: as many words, and its folder."""
    (usage,) = re.findall(rf"^ffmem {command} (.*)$", REFERENCE, re.MULTILINE)
    needed, _, rest = usage.partition("[OPTIONS]")
    words = re.findall(r" [A-Z][A-Z_-]*\b", rest)
    options = [part for option in re.findall(r"--[a-z-]+", needed) for part in (option, "x")]
    return [*command.split(), *("x" for _ in words), *options]


def _parse(typed: list[str]) -> dict[str, Any]:
    _, bound, _ = app.parse_args(typed, exit_on_error=False, print_error=False)
    return dict(bound.arguments)


def _refused(typed: list[str], option: str, value: str) -> None:
    with pytest.raises(CycloptsError, match=f'{option}: Expected a whole number, not "{value}"'):
        _parse([*typed, f"{option}={value}"])


def test_no_option_rounds_a_number() -> None:
    for command, option in EVERY_WHOLE_NUMBER:
        _refused(_typed(command), option, "1.5")


@pytest.mark.parametrize("value", ["2.0", "1e3", "0x10", "1_000", "٣", "", "nan", "two"])
def test_no_number_is_guessed(value: str) -> None:
    _refused(["cells", "x"], "--limit", value)
    _refused(["verify", "x"], "--threads", value)


def test_whole_numbers_are_read() -> None:
    assert len(EVERY_WHOLE_NUMBER) > 40
    assert _parse(["cells", "x", "--limit", "+7"])["limit"] == 7
    assert _parse(["map", "x", "y", "--at", "-2"])["at"] == -2
    assert _parse(["verify", "x", "--threads", "2"])["threads"] == 2


@pytest.mark.parametrize(
    "typed",
    [
        *(
            f"{command} --limit -1"
            for command in ("cells x", "search x y", "promotes x y", "find x", "similar x L0.0", "diff x y")
        ),
        *(f"{command} x y --limit -1" for command in ("activate", "explain", "patch", "map")),
        "cell x L0.0 --triggers -1",
        "find x --triggers -1",
        "site x --out y --triggers -1",
        "site x --out y --workers 0",
        "verify x --batches 0",  # nothing would be checked, and all be in order
        "verify x --seed -1",
        *(f"find x --{end}-active {value}" for end in ("min", "max") for value in ("nan", "-0.1", "1.1", "inf")),
        *(
            f"{command} --time-limit {value}"
            for command in ("search x y", "find x")
            for value in ("0", "-1", "nan", "inf")
        ),
    ],
)
def test_a_number_out_of_range_is_refused(typed: str) -> None:
    option = re.findall(r"--[a-z-]+", typed)[-1]
    with pytest.raises(CycloptsError, match=f"Invalid value .* for {option}. Must be"):
        _parse(typed.split())


@pytest.mark.parametrize(
    "typed",
    [
        *(["explain", "x", "caf\udce9"], ["intervene", "x", "y", "caf\udce9*0"], ["query", "x", "select '\udce9'"]),
        *(
            ["find", "x", "--trigger", "\udce9"],
            ["promotes", "x", "\ud800"],
            ["index", "x", "y", "\udce9", "--out", "z"],
        ),
    ],
)
def test_bytes_that_are_no_text_are_refused(typed: list[str]) -> None:
    # `promotes` took them for "?", and the model's tokenizer would die of them
    with pytest.raises(InputError, match=r"an argument has bytes that are not UTF-8: .* iconv"):
        _parse(typed)


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    folder = tmp_path / "caf\udce9"
    folder.mkdir()
    assert _parse(["info", str(folder)])["folder"] == str(folder)


@pytest.mark.parametrize("sql", ["", "  \t", ";"])
def test_no_statement_is_told_as_none(sql: str, index_of: Callable[[str], Index]) -> None:
    pytest.importorskip("duckdb", reason="the extra sql is not installed")
    with pytest.raises(InputError, match=r"no statement is given. Expected one. Write for example"):
        app(["query", str(index_of("gpt2").folder), sql], exit_on_error=False)

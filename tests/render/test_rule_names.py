"""Names by rule in a terminal."""

from importlib import import_module
from io import StringIO

import pytest

from ffmem.ids import CellId
from ffmem.names.rules.summary import Best, Layer, Summary
from ffmem.render.rule_names import naming, rule_names


def layer(number: int) -> Layer:
    kinds = {"token": 0.5, "field": 0.125, "dead": 0.25, "unclear": 0.1, "none": 0.025}
    return Layer(f"L{number}", 8, {"A": 0.25, "B": 0.125, "C": 0.5}, 0.25, kinds)


def summary(n_layers: int, *, is_tested: bool = True) -> Summary:
    best = (Best(CellId(3, 7), -1, "fires on 'a\x1b'", "A", 0.756, 0.7),)
    return Summary(8_000, 6_000, 3_000, is_tested, tuple(map(layer, range(n_layers))), best)


def test_a_summary() -> None:
    assert rule_names(summary(1), "kept").split("\n") == [
        "8,000 units: 6,000 named, 3,000 of them confidently (A or B), each held against the other half of the text",
        "",
        "   layer     A     B     C  dead, always, rare   commonest kinds",
        "      L0   25%   12%   50%                 25%   token 50%, dead 25%, field 12%",
        "",
        "surest names:",
        "       L3.7 - fires on 'a\\x1b'  (A, F1 0.76)",
        "",
        "kept",
    ]


def test_of_many_layers_six_are_shown_and_untested_names_are_said_to_be_so() -> None:
    lines = rule_names(summary(31, is_tested=False), "").split("\n")
    assert lines[0].startswith("8,000 units: too few documents to hold any out, so no name has a grade")
    assert [one.split()[0] for one in lines[3:9]] == ["L0", "L6", "L12", "L18", "L24", "L30"]
    assert lines[9:11] == ["", "surest names:"]


class Screen(StringIO):
    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.mark.parametrize(("quiet", "is_terminal", "shown"), [(0, 1, 1), (1, 1, 0), (0, 0, 0)])
def test_progress_is_for_terminals_alone(
    monkeypatch: pytest.MonkeyPatch, quiet: int, is_terminal: int, shown: int
) -> None:
    screen = Screen(is_terminal=bool(is_terminal))
    monkeypatch.setattr(import_module("ffmem.render.rule_names"), "stderr", screen)
    with naming(bool(quiet)) as listen:
        listen(1_000, 9_216)
    assert screen.getvalue() == ("\r1,000 of 9,216 units\r\x1b[K" if shown else "")

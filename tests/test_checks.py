"""The page of checks names tests that are there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_check_has_its_tests() -> None:
    page = (ROOT / "docs" / "design" / "checks.md").read_text()
    rows = re.findall(r"^\| (\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in rows] == list(range(1, 16))
    of_attention = re.findall(r"^\| A(\d+) \|.*\| (.*) \|$", page, re.MULTILINE)
    assert [int(number) for number, _ in of_attention] == [one for one in range(1, 19) if one != 9]
    for number, cell in rows + of_attention:
        named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", cell)
        assert named, number
        for file, test in named:
            assert f"def {test}(" in (ROOT / file).read_text(), (number, test)

"""Which pages may stand in frames."""

import pytest
from starlette.requests import Request

from ffmem.server.embedding import is_bare, is_part_of_bare


def asked(path: str, query: str = "", method: str = "GET") -> Request:
    return Request({"type": "http", "method": method, "path": path, "query_string": query.encode(), "headers": []})


@pytest.mark.parametrize(
    ("path", "query", "method", "bare"),
    [
        ("/cells/L9.203", "embed=1", "GET", True),
        ("/cells/enc.L9.203", "a=1&embed=1", "GET", True),
        ("/cells/L9.203", "", "GET", False),
        ("/cells/L9.203", "embed=0", "GET", False),
        ("/cells/L9.203", "embed=1&embed=1", "GET", False),
        ("/cells/L9.203", "embed=1", "POST", False),
        ("/cells/L9.203.json", "embed=1", "GET", False),
        ("/cells/L9.203/name", "embed=1", "GET", False),
        ("/cells", "embed=1", "GET", False),
        ("/flow", "embed=1", "GET", True),
        ("/figures", "embed=1", "GET", True),
        ("/annotate", "embed=1", "GET", False),
    ],
)
def test_bare_pages(path: str, query: str, method: str, bare: bool) -> None:
    assert is_bare(asked(path, query, method)) is bare


@pytest.mark.parametrize(
    ("path", "part"),
    [("/figures/labels.svg", True), ("/figures/labels.json", True), ("/vega.js", True), ("/figures/labels.csv", False),
     ("/figures.json", False), ("/patterns/L0.csv", False)],
)  # fmt: skip
def test_what_they_fetch(path: str, part: bool) -> None:
    assert is_part_of_bare(asked(path)) is part

"""Addresses on a server, and in a folder of files."""

from urllib.parse import parse_qs, urlsplit

import pytest

from ffmem.ids import CellId
from ffmem.server.links import FolderLinks, Links


class Shown:
    others: tuple[str, ...] = ()
    has_collections = False


class Two(Shown):
    others = ("other",)


class Collected(Shown):
    has_collections = True


def test_the_menu_has_diff_only_beside_a_second_index() -> None:
    assert ("diff", "Diff") in Links().menu(Two()) and "diff" not in dict(Links().menu(Shown()))
    assert "Compare" not in dict(map(reversed, Links().menu(Two())))
    assert [name for name, _ in FolderLinks().menu(Two())] == ["", "cells", "atlas", "search", "figures"]


def test_a_site_has_collections_where_there_are_some() -> None:
    assert [name for name, _ in FolderLinks().menu(Collected())] == [
        "",
        "cells",
        "atlas",
        "search",
        "collections",
        "figures",
    ]
    assert "collections" in dict(Links().menu(Shown()))  # where they are made
    assert FolderLinks(2).page("collections/water") == "../../collections/water.html"


def test_questions_come_back_from_an_address() -> None:
    found = urlsplit(Links().page("prompt", text="a&b=c é", change=("L1.2*0", "L1.3=5"), at=None, target=""))
    assert found.path == "/prompt"
    assert parse_qs(found.query) == {"text": ["a&b=c é"], "change": ["L1.2*0", "L1.3=5"]}
    assert Links().page("diff", with_="x") == "/diff?with=x"


@pytest.mark.parametrize(
    ("page", "data"),
    [("/", "/index.json"), ("/cells?sort=max", "/cells.json?sort=max"), ("/cells/L1.2", "/cells/L1.2.json")],
)
def test_data_stands_beside_its_page(page: str, data: str) -> None:
    assert Links().data(page) == data and FolderLinks().data(page) is None


@pytest.mark.parametrize(
    ("cell", "file"),
    [
        (CellId(9, 2997), "cells/L9/2997.html"),
        (CellId(3, 12, stack="dec"), "cells/dec.L3/12.html"),
        (CellId(9, 77, expert=5), "cells/L9/e5.77.html"),
    ],
)
def test_each_cell_has_a_file(cell: CellId, file: str) -> None:
    assert FolderLinks(2).cell(cell) == f"../../{file}"
    assert Links().cell(cell) == f"/cells/{cell}"


def test_a_folder_has_no_page_that_needs_a_server() -> None:
    links = FolderLinks(1)
    assert not links.live and links.sentence(3) is None
    assert links.page("search", q="x y", limit=3) == "../search.html?q=x+y"
    assert links.page("cells", layer="L1", sort="max") == "../cells/L1.html"

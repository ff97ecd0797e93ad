"""Addresses of pages: on a server, or in a folder of files."""

from typing import Any
from urllib.parse import quote, urlencode

from ffmem.json_values import JsonObject


class Links:
    """Where the pages of a running explorer are."""

    live = True
    """Whether pages can ask the server for more."""

    def menu(self, explorer: Any) -> tuple[tuple[str, str], ...]:
        """Names and titles of the pages that the header leads to."""
        pages = [
            ("", "Overview"),
            ("cells", "Cells"),
            ("search", "Search"),
            ("prompt", "Prompt"),
            ("map", "Map"),
            ("attention", "Attention"),
            ("annotate", "Annotate"),
        ]
        pages += [("figures", "Figures")]
        if explorer.others:
            pages.append(("diff", "Diff"))
        return tuple(pages)

    def page(self, name: str, **query: Any) -> str:
        """A page by its name: "" (overview), cells, search, prompt, map, attention, annotate, figures, diff."""
        return f"/{name}{_query(query)}"

    def cell(self, cell: Any) -> str:
        """The page of a cell."""
        return f"/cells/{quote(str(cell))}"

    def sentence(self, sentence_id: int) -> str | None:
        """The page of a sentence; None where there is none."""
        return f"/sentences/{sentence_id}"

    def figure(self, name: str, form: str, study: str = "") -> str:
        """A chart as svg, json (Vega-Lite) or csv."""
        return f"/figures/{quote(name)}.{form}{_query({'study': study})}"

    def vega(self) -> str:
        """The script that draws charts."""
        return "/vega.js"

    def data(self, address: str) -> str | None:
        """The same page as JSON; None where there is none."""
        path, mark, query = address.partition("?")
        return f"{'/index' if path == '/' else path}.json{mark}{query}"

    def asset(self, name: str) -> str:
        """A style sheet or a script."""
        return f"/static/{quote(name)}"


class FolderLinks(Links):
    """Where the pages of a folder of files are, as seen from one of them.

    Args:
        depth: of the page that links: folders between it and the first.
    """

    live = False

    def __init__(self, depth: int = 0) -> None:
        self._root = "../" * depth

    def menu(self, explorer: Any) -> tuple[tuple[str, str], ...]:
        """See `Links.menu`."""
        return ("", "Overview"), ("cells", "Cells"), ("search", "Search"), ("figures", "Figures")

    def page(self, name: str, **query: Any) -> str:
        """See `Links.page`; tables of cells are there layer by layer."""
        if name == "cells" and query.get("layer"):
            return f"{self._root}cells/{quote(str(query['layer']))}.html"
        return f"{self._root}{name or 'index'}.html{_query({k: v for k, v in query.items() if k == 'q'})}"

    def cell(self, cell: Any) -> str:
        """See `Links.cell`."""
        return f"{self._root}{self.cell_file(cell)}"

    @staticmethod
    def cell_file(cell: Any) -> str:
        """The file of a cell's page."""
        layer, _, rest = str(cell).partition(".") if not str(cell).startswith(("enc.", "dec.")) else _stacked(str(cell))
        return f"cells/{layer}/{rest}.html"

    def sentence(self, sentence_id: int) -> str | None:
        """There are none."""
        return None

    def data(self, address: str) -> str | None:
        """There is none."""
        return None

    def asset(self, name: str) -> str:
        """See `Links.asset`."""
        return f"{self._root}static/{quote(name)}"

    def figure(self, name: str, form: str, study: str = "") -> str:
        """See `Links.figure`."""
        return f"{self._root}figures/{f'{study}/' if study else ''}{quote(name)}.{form}"


def _stacked(cell: str) -> tuple[str, str, str]:
    stack, layer, rest = cell.split(".", 2)
    return f"{stack}.{layer}", ".", rest


def _query(query: JsonObject) -> str:
    kept = [(name.rstrip("_"), value) for name, value in query.items() if value not in (None, "", ())]
    return f"?{urlencode(kept, doseq=True)}" if kept else ""

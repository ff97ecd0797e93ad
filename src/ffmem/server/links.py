"""Addresses of pages: on a server, or in a folder of files."""

from typing import Any
from urllib.parse import quote, urlencode

from ffmem.json_values import JsonObject
from ffmem.queries.question import part_of_question

SITE_KEYS = ("fires", "promotes", "named", "label", "topic", "layer")
"""Keys that the search of a folder of files knows."""

SITE_FILES = {
    ("index", "layers"): ("svg", "png", "csv", "json"),
    ("figures", "claims"): ("csv",),
    ("figures", "numbers"): ("csv",),
}
"""Tables and pictures that a folder of files has beside its pages, and in which forms."""
Files = tuple[tuple[str, str], ...]
"""What a form is called, and the address of the file."""


class Links:
    """Where the pages of a running explorer are."""

    live = True
    """Whether pages can ask the server for more."""

    def menu(self, explorer: Any) -> tuple[tuple[str, str], ...]:
        """Names and titles of the pages that the header leads to."""
        pages = [
            ("", "Overview"),
            ("cells", "Cells"),
            ("atlas", "Atlas"),
            ("search", "Search"),
            ("prompt", "Prompt"),
            ("annotate", "Annotate"),
            ("collections", "Collections"),
        ]
        pages += [("figures", "Figures")]
        if explorer.others:
            pages.append(("diff", "Diff"))
        return tuple(pages)

    def page(self, name: str, **query: Any) -> str:
        """A page by its name: "" (overview), cells, atlas, search, prompt, flow, annotate, collections, and so on."""
        return f"/{name}{_query(query)}"

    def query(self, key: str, value: Any, exact: bool = False) -> str | None:
        """The search for cells by one key of the search box, such as ``meta.topic``; None where that cannot be asked."""
        return self.page("search", q=part_of_question(key, str(value), exact=exact))

    def cell(self, cell: Any) -> str:
        """The page of a cell."""
        return f"/cells/{quote(str(cell))}"

    def sentence(self, sentence_id: int) -> str | None:
        """The page of a sentence; None where there is none."""
        return f"/sentences/{sentence_id}"

    def figure(self, name: str, form: str, study: str = "") -> str:
        """A chart as svg, json (Vega-Lite) or csv."""
        return f"/figures/{quote(name)}.{form}{_query({'study': study})}"

    def files(self, page: str, part: str, query: JsonObject | None = None, drawn: bool = True) -> Files:
        """A table or picture of a page as files: what each form is called, and where it is.

        Args:
            page: its address without the first slash; "index" is the overview.
            part: the name of the table or picture.
            query: of the page's address.
            drawn: whether there is a picture of it.
        """
        forms = ("svg", "png", "csv", "json") if drawn else ("csv", "json")
        return tuple((form.upper(), f"/{quote(page)}/{part}.{form}{_query(query or {})}") for form in forms)

    def chart_files(self, name: str, study: str = "") -> Files:
        """A chart of a study as files."""
        return tuple((form.upper(), self.figure(name, form, study)) for form in ("svg", "png", "csv", "json"))

    def chart_tables(self, name: str, study: str = "") -> Files:
        """A table of a study as a file: "claims", "numbers", or one that the report names."""
        return (("CSV", self.figure(name, "csv", study)),)

    def vega(self) -> str:
        """The script that draws charts."""
        return "/vega.js"

    def data(self, address: str) -> str | None:
        """The same page as JSON; None where there is none."""
        path, mark, query = address.partition("?")
        return f"{'/index' if path == '/' else path}.json{mark}{query}"

    def unframed(self, address: str) -> str:
        """The same page with header and footer."""
        path, _, query = address.partition("?")
        kept = "&".join(one for one in query.split("&") if one and one != "embed=1")
        return f"{path}?{kept}" if kept else path

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
        collections = (("collections", "Collections"),) if explorer.has_collections else ()
        first = (("", "Overview"), ("cells", "Cells"), ("atlas", "Atlas"), ("search", "Search"))
        return *first, *collections, ("figures", "Figures")

    def page(self, name: str, **query: Any) -> str:
        """See `Links.page`; tables of cells are there layer by layer."""
        if name == "cells" and query.get("layer"):
            return f"{self._root}cells/{quote(str(query['layer']))}.html"
        return f"{self._root}{name or 'index'}.html{_query({k: v for k, v in query.items() if k == 'q'})}"

    def query(self, key: str, value: Any, exact: bool = False) -> str | None:
        """See `Links.query`; files know fewer keys."""
        return super().query(key, value, exact) if key in SITE_KEYS else None

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

    def files(self, page: str, part: str, query: JsonObject | None = None, drawn: bool = True) -> Files:
        """See `Links.files`; the layers of the overview are there."""
        found = SITE_FILES.get((page, part), ())
        return tuple((form.upper(), f"{self._root}{page}/{part}.{form}") for form in found)

    def chart_files(self, name: str, study: str = "") -> Files:
        """See `Links.chart_files`; what a browser would draw is not there."""
        return tuple((form.upper(), self.figure(name, form, study)) for form in ("svg", "png", "csv"))

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
    return f"?{urlencode(kept, doseq=True, encoding='utf-8', errors='backslashreplace')}" if kept else ""

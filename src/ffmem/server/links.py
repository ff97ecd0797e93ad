"""Addresses of pages: on a server, or in a folder of files."""

from typing import Any
from urllib.parse import quote, urlencode


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
            ("annotate", "Annotate"),
        ]
        pages += [("figures", "Figures")]
        if explorer.others:
            pages.append(("diff", "Compare"))
        return tuple(pages)

    def page(self, name: str, **query: Any) -> str:
        """A page by its name: "" (overview), cells, search, prompt, annotate, figures, diff."""
        return f"/{name}{_query(query)}"

    def cell(self, cell: Any) -> str:
        """The page of a cell."""
        return f"/cells/{quote(str(cell))}"

    def sentence(self, sentence_id: int) -> str | None:
        """The page of a sentence; None where there is none."""
        return f"/sentences/{sentence_id}"

    def figure(self, name: str, form: str) -> str:
        """A chart as svg, json (Vega-Lite) or csv."""
        return f"/figures/{quote(name)}.{form}"

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


def _query(query: dict[str, Any]) -> str:
    kept = [(name.rstrip("_"), value) for name, value in query.items() if value not in (None, "", ())]
    return f"?{urlencode(kept, doseq=True)}" if kept else ""

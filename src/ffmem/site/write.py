"""The whole site, layer by layer; done is a written record."""

import json
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

from ffmem.annotations.batches import index_id
from ffmem.errors import InputError
from ffmem.json_values import JsonObject, Record
from ffmem.names.collection_lines import Line
from ffmem.queries.table import cells
from ffmem.server.explorer import Explorer
from ffmem.server.links import FolderLinks
from ffmem.server.opening import open_explorer
from ffmem.server.pages import render
from ffmem.server.taken.of_atlas import atlas_cells, atlas_picture
from ffmem.server.taken.of_lists import FIGURES_PARTS, overview_layers
from ffmem.server.taken.taking import MEDIA
from ffmem.server.views.atlas import atlas_context, atlas_view
from ffmem.server.views.cells import CellsView
from ffmem.server.views.collections import collection_view, collections_view, kept_collection
from ffmem.server.views.figures import (
    FiguresView,
    figure_image,
    figure_pixels,
    figure_table,
    figures_view,
    patterns_table,
)
from ffmem.server.views.overview import choose_highlights, overview_view
from ffmem.site.layer import LayerWords, SiteOptions, site_index, without_text, write_layer
from ffmem.site.words import merge, script, scripts
from ffmem.store.collections import MAX_ITEMS
from ffmem.store.files import atomic_write, disk_errors, write_json
from ffmem.studies.charts import png
from ffmem.version import __version__

_MARKER = "ffmem-site.json"
_N_FIRST = 200
"""Cells of the table over all layers."""


@dataclass(frozen=True)
class Site(Record):
    """A site that was written."""

    folder: Path
    n_pages: int
    n_bytes: int


def write_site(
    folder: str | Path,
    out: str | Path,
    *,
    options: SiteOptions | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] = lambda done, n: None,
) -> Site:
    """Write the pages of an index as files.

    Args:
        folder: of the index.
        out: a new folder, or one that an earlier site was written to: it is replaced.
        options: what decides the pages; equal options and indexes give equal bytes.
        workers: processes; 0 or 1: this one.
        progress: called with layers done and layers in all.

    Raises:
        InputError: the folder holds something else.
        StoreError: there is no index.
    """
    options, out = options or SiteOptions(), Path(out)
    if options.triggers < 1:
        raise InputError(f"--triggers is {options.triggers}", "Expected 1 or more", "Write --triggers 10")
    explorer = _explorer(folder, options)
    _make_room(out)
    n = explorer.index.n_layers
    progress(0, n)
    parts: list[LayerWords] = []
    with _layers(folder, out, options, workers, n) as found:
        for part in found:
            parts.append(part)
            progress(len(parts), n)
    n_bytes = sum(part.n_bytes for part in parts) + _write_rest(explorer, out, parts, options)
    listed = collections_view(explorer).rows
    n_pages = sum(len(part.summaries) + 1 for part in parts) + 5 + sum(not one.problem for one in listed) + bool(listed)
    record = {"ffmem": __version__, "index": index_id(explorer.index), "options": asdict(options), "n_pages": n_pages}
    write_json(out / _MARKER, record | {"finished": True})
    return Site(out, n_pages, n_bytes)


def _make_room(out: Path) -> None:
    marker = out / _MARKER
    if out.exists() and not marker.is_file() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            f"{out} holds something that is not a site written by ffmem",
            "Expected a new or empty folder, or one that `ffmem site` has written",
            "Choose another --out",
        )
    with disk_errors(out):
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
    write_json(marker, {"ffmem": __version__, "finished": False})


@contextmanager
def _layers(
    folder: str | Path, out: Path, options: SiteOptions, workers: int, n: int
) -> Iterator[Iterator[LayerWords]]:
    if workers < 2:
        explorer = _explorer(folder, options)
        yield (write_layer(explorer, place, out, options) for place in range(n))
        return
    with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
        yield pool.map(_in_process, [(str(folder), place, out, options) for place in range(n)])


def _explorer(folder: str | Path, options: SiteOptions) -> Explorer:
    explorer = open_explorer(folder, with_model=False)
    site_index(explorer.index, text=options.text)
    return explorer


_kept: dict[str, Explorer] = {}
"""Of a worker process, which writes many layers."""


def _in_process(task: tuple[str, int, Path, SiteOptions]) -> LayerWords:
    folder, place, out, options = task
    if folder not in _kept:
        _kept[folder] = _explorer(folder, options)
    return write_layer(_kept[folder], place, out, options)


def _write_rest(explorer: Explorer, out: Path, parts: list[LayerWords], options: SiteOptions) -> int:
    """Everything but the cells; how many bytes it is."""
    index = explorer.index
    choose_highlights(explorer)
    overview = overview_view(explorer)
    if not options.text:
        overview = replace(overview, told=(), highlights=tuple(
            replace(one, cell=replace(one.cell, triggers=tuple(map(without_text, one.cell.triggers))))
            for one in overview.highlights or ()
        ))  # fmt: skip
    figures = figures_view(explorer)
    if not options.text and figures.report:
        figures = replace(figures, report=figures.report.without_text())
    first = CellsView(None, "max", _N_FIRST, tuple(cells(index, sort="max", limit=_N_FIRST)))
    space = [
        [layer.name, layer.group_size, layer.n_experts, None if layer.kept is None else list(layer.indices)]
        for layer in index.cells.layers
    ]
    pages: dict[str, tuple[str, JsonObject]] = {
        "index.html": ("overview.html", {"view": overview}),
        "cells.html": ("cells.html", {"view": first}),
        "atlas.html": ("atlas.html", atlas_context(explorer)),
        "figures.html": ("figures.html", {"view": figures}),
        "search.html": ("site-search.html", {"space": json.dumps(space), "options": options}),
    }
    written: dict[str, bytes] = {
        name: render(template, FolderLinks(), explorer=explorer, here="", **context).encode("utf-8", "backslashreplace")
        for name, (template, context) in pages.items()
    }
    written |= _of_collections(explorer, options)
    for name in ("explorer.css", "atlas.css", "cell.css", "search.css", "explorer.js", "icon.svg", "site-search.js"):
        written[f"static/{name}"] = files("ffmem.server").joinpath(f"static/{name}").read_bytes()
    written |= _of_study(explorer, figures, options)
    picture = atlas_view(explorer)
    drawn = atlas_picture(explorer, picture)
    written |= {"atlas.svg": drawn.encode(), "atlas.png": png(drawn)}
    written["atlas.csv"] = atlas_cells(explorer, picture).file("csv")
    layers = overview_layers(overview)
    written |= {f"index/layers.{form}": layers.file(form) for form in MEDIA}
    postings = {
        "t": merge(one.triggers for one in parts),
        "p": merge(one.promoted for one in parts),
        "f": merge(one.firing for one in parts),
        "n": merge(one.named for one in parts),
        "d": merge(one.topics for one in parts),
    }
    for kind, found in postings.items():
        written |= {f"search/{name}": data for name, data in scripts(kind, found).items()}
    for place, part in enumerate(parts):
        written[f"search/c-{place}.js"] = script(f"c-{place}", part.summaries).encode("utf-8", "replace")
    for name, data in written.items():
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        atomic_write(out / name, data)
    return sum(map(len, written.values()))


def _of_collections(explorer: Explorer, options: SiteOptions) -> dict[str, bytes]:
    """The list of collections and a page for each, if there are any; what a cell is called may quote the text."""
    listed, found = collections_view(explorer), {}
    for row in listed.rows:
        if not row.problem:
            view = collection_view(explorer, kept_collection(explorer, row.name), MAX_ITEMS)
            if not options.text:
                view = replace(view, lines=tuple(map(_without_text, view.lines)))
            found[f"collections/{row.name}.html"] = render(
                "collection.html", FolderLinks(1), explorer=explorer, here="", view=view, sent=None
            )
    if listed.rows:
        found["collections.html"] = render("collections.html", FolderLinks(), explorer=explorer, here="", view=listed)
    return {name: text.encode("utf-8", "backslashreplace") for name, text in found.items()}


def _without_text(line: Line) -> Line:
    return replace(line, name=None) if line.name is not None and line.name.quotes else line


def _of_study(explorer: Explorer, figures: FiguresView, options: SiteOptions) -> dict[str, bytes]:
    """The charts and tables that the page of the study shows, and the patterns of every cell, which quote the text."""
    report = figures.report
    if report is None:
        return {}
    written = {f"figures/{name}.svg": figure_image(explorer, name) for name in report.charts}
    written |= {f"figures/{name}.png": figure_pixels(explorer, name) for name in report.charts}
    written |= {f"figures/{name}.csv": make(figures).file("csv") for name, make in FIGURES_PARTS.items()}
    written |= {f"figures/{name}.csv": figure_table(explorer, name) for name in [*report.charts, *report.tables]}
    if options.text and explorer.patterns_folder:
        for layer in explorer.index.cells.layers:
            written[f"patterns/{layer.name}.csv"] = patterns_table(explorer, layer.name)
    return written

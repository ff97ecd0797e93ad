"""The explorer as files: whole, linked, safe, the same each time, and searchable from disk."""

import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

import ffmem
from ffmem import Index, InputError, StoreError
from ffmem.annotations.batches import index_id
from ffmem.ids import CellId
from ffmem.names.collections import adding
from ffmem.queries import find
from ffmem.site.words import add, merge, scripts, shard_of, words_of
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Item, Note
from ffmem.store.label_rows import NewLabel
from tests.conftest import IN_PROCESS
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.atlas.made import with_atlas
from tests.queries.test_wanted import SCRIPTS
from tests.server.browser import new_tab
from tests.server.test_safety import HOSTILE

pytest.importorskip("altair", reason="needs the extra explorer")
from ffmem.site.layer import SiteOptions
from ffmem.site.write import write_site


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.strange: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("href", "src", "action") and value:
                self.targets.append(value)
            if name.startswith("on"):
                self.strange.append(f"{tag} {name}")
        if tag in ("img", "svg", "iframe") and not (dict(attrs).get("alt") or dict(attrs).get("aria-label")):
            self.strange.append(tag)


def pages_of(folder: Path) -> dict[Path, _Links]:
    found = {}
    for path in folder.rglob("*.html"):
        found[path] = _Links()
        found[path].feed(path.read_text("utf-8"))
    return found


@pytest.fixture(scope="module")
def site(studied_index: Index, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site") / "site"
    write_site(studied_index.folder, out, options=SiteOptions(triggers=4))
    return out


def test_every_cell_has_its_page_and_every_link_leads_somewhere(site: Path, studied_index: Index) -> None:
    pages = pages_of(site)
    assert len(list((site / "cells").glob("*/*.html"))) == studied_index.n_cells
    for path, links in pages.items():
        assert not links.strange, (path, links.strange)
        for target in links.targets:
            assert not re.match(r"[a-z]+:|/", target), (path, target)
            file = unquote(target.split("?")[0].split("#")[0])
            assert not file or (path.parent / file).is_file(), (path, target)
    reached, todo = set(), [site / "index.html"]
    while todo:
        path = todo.pop().resolve()
        if path not in reached and path.suffix == ".html":
            reached.add(path)
            todo += [path.parent / unquote(one.split("?")[0].split("#")[0]) for one in _targets(path)]
    assert reached == {path.resolve() for path in pages}


def _targets(path: Path) -> list[str]:
    links = _Links()
    links.feed(path.read_text("utf-8"))
    return [one for one in links.targets if one.split("?")[0].split("#")[0]]


def test_a_page_says_what_the_index_says(site: Path, studied_index: Index) -> None:
    cell = studied_index.cell("L1.7")
    text = (site / "cells" / "L1" / "7.html").read_text()
    assert f"<h1>{cell.cell}</h1>" in text and text.count('<span class="coefficient"') == 4
    assert "What its triggers share" in text
    assert (site / "figures" / "agreement.svg").read_text().startswith("<svg")


def test_the_same_bytes_again_with_more_workers(site: Path, studied_index: Index, tmp_path: Path) -> None:
    write_site(studied_index.folder, tmp_path / "again", options=SiteOptions(triggers=4), workers=2)
    files = {path.relative_to(site) for path in site.rglob("*") if path.is_file()}
    assert files == {path.relative_to(tmp_path / "again") for path in (tmp_path / "again").rglob("*") if path.is_file()}
    for name in files:
        assert (site / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_without_text_nothing_of_the_text_is_there(studied_index: Index, tmp_path: Path) -> None:
    write_site(studied_index.folder, tmp_path / "site", options=SiteOptions(triggers=3, text=False))
    told = "".join(
        path.read_text("utf-8") for path in (tmp_path / "site").rglob("*") if path.suffix in (".html", ".js", ".csv")
    )
    for place in range(studied_index.n_layers):
        cell = studied_index.cell(studied_index.cells.cell_id(place, 3))
        for trigger in cell.triggers:
            assert trigger.text not in told
            words = trigger.text.split()
            assert len(words) < 4 or " ".join(words[:3]) not in told
    assert "sentence hash" in told


def test_a_folder_of_something_else_is_left_alone(studied_index: Index, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="not a site written by ffmem"):
        write_site(studied_index.folder, tmp_path)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_a_corpus_of_html_and_scripts_stays_text(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    (tmp_path / "hostile.txt").write_text(HOSTILE * 3)
    options = ffmem.IndexOptions(top=3, holdout=0, duplicates="keep")
    ffmem.build_index(tiny_folder("gpt2"), tmp_path / "hostile.txt", tmp_path / "i", options=options, run=IN_PROCESS)
    write_site(tmp_path / "i", tmp_path / "site")
    for path, links in pages_of(tmp_path / "site").items():
        assert not links.strange, (path, links.strange)
        assert "<script>" not in path.read_text("utf-8")
    for path in (tmp_path / "site" / "search").glob("*.js"):
        assert path.read_text("utf-8").startswith("ffmemTake(") and path.read_text("utf-8").count("\n") == 1


def test_words_lead_to_cells() -> None:
    first: dict[str, Any] = {}
    second: dict[str, Any] = {}
    add(first, words_of("Night trains, night"), 3)
    add(first, words_of("night"), 40)
    add(second, words_of("naïve NIGHT 日本"), 1300)
    merged = merge([first, second])
    assert list(merged["night"]) == [3, 40, 1300] and list(merged["naïve"]) == [1300]
    made = scripts("t", merged)
    assert set(made) == {f"t-{shard_of(word)}.js" for word in merged}
    assert made[f"t-{shard_of('night')}.js"].decode() == 'ffmemTake("t-6e-69",{"night":"3 11 z0"});\n'
    assert "日本" in made[f"t-{shard_of('日本')}.js"].decode()


def test_words_of_any_script_lead_to_cells() -> None:
    assert words_of("日本語 Fox") == {"日", "本", "語", "日本", "本語", "fox"}
    assert words_of("हिन्दी cafe\u0301 C++ 👍🏽 ไทย, _x") == {
        "हिन्दी", "cafe\u0301", "c", "+", "👍", "🏽", "ไ", "ท", "ย", "ไท", "ทย", "_x",
    }  # fmt: skip
    assert shard_of("日本") == shard_of("日") == "65e5" and shard_of("naïve") == "6e-61"


@pytest.mark.skipif(shutil.which("node") is None, reason="the page's script is run by node, until there is one here")
def test_the_page_cuts_words_as_the_index_of_words_does() -> None:
    """Whatever is typed, the script asks for words that the text they were taken from is filed under."""
    source = files("ffmem") / "server" / "static" / "site-search.js"
    text = source.read_text("utf-8").split("(() => {")[0]
    dice = random.Random(0)
    queries = [*SCRIPTS, *(line[begin : begin + 5] for line in SCRIPTS for begin in dice.sample(range(len(line)), 9))]
    words = sorted({word for query in queries for word in words_of(query)})
    asking = "const [q, w] = JSON.parse(require('fs').readFileSync(0)); "
    asking += "console.log(JSON.stringify([q.map(ffmemWords), w.map(ffmemShard)]))"
    given = json.dumps([queries, words])
    answer = subprocess.run(["node", "-e", text + asking], input=given, capture_output=True, text=True, check=True)
    asked, shards = json.loads(answer.stdout)
    assert shards == list(map(shard_of, words))
    for query, (found, rest) in zip(queries, asked, strict=True):
        assert {word.removesuffix("*") for word in found} <= words_of(query), query
        assert bool(found) == bool(words_of(query)), query
        shown = "".join(found) + rest + "\ufeff"  # for JavaScript that is white space
        assert all(character in shown or character.isspace() for character in query.lower()), query


def test_from_disk_in_a_browser(site: Path, studied_index: Index, tab: Any) -> None:
    tab.goto(f"{site.as_uri()}/index.html")
    tab.fill("#find", "river")
    tab.keyboard.press("Enter")
    tab.wait_for_selector("ol.hits li a")
    shown = {one.inner_text() for one in tab.query_selector_all("ol.hits a")}
    expected = {
        str(studied_index.cells.cell_id(place, row))
        for place, layer in enumerate(studied_index.cells.layers)
        for row in range(layer.n_cells)
        for cell in [studied_index.cell(studied_index.cells.cell_id(place, row), 4)]
        if any("river" in words_of(one.text) for one in cell.triggers)
    }
    assert shown <= expected and len(shown) == min(100, len(expected))
    word = next(iter(words_of("".join(one.token for one in studied_index.cell("L1.7").promoted[:10]))))
    tab.fill("#find", f"the promotes:{word}")
    tab.wait_for_selector("p.lead:has-text('cells')")
    tab.fill("#find", "riv*")
    tab.wait_for_selector("ol.hits li a")
    tab.click("ol.hits li a >> nth=0")
    tab.wait_for_selector("h2:has-text('What triggers it')")
    with new_tab(tab.context.browser, java_script_enabled=False) as plain:
        plain.goto(f"{site.as_uri()}/cells.html")
        plain.click("nav[aria-label=Layers] a >> nth=1")
        plain.click("tbody th a >> nth=0")
        assert "L1.0" in plain.inner_text("h1")
    assert find(studied_index, trigger="river", within="sentence").n_found >= len(expected)
    tab.goto(f"{site.as_uri()}/search.html")
    cells = [studied_index.cell(f"L1.{row}", 4) for row in range(48)]
    fired_on = [{word for one in cell.triggers for word in words_of(one.tokens[one.position])} for cell in cells]
    word = next(word for words in fired_on for word in sorted(words))
    tab.fill("#find", f"fires:{word} layer:1")
    tab.wait_for_selector("ol.hits li:last-child a:has-text('L1.')")
    fired = {one.inner_text() for one in tab.query_selector_all("ol.hits a")}
    assert fired == {str(cell.cell) for cell, words in zip(cells, fired_on, strict=True) if word in words}
    tab.fill("#find", "colour:river")
    tab.wait_for_selector("p.problem:has-text('colour: is no key here')")
    tab.fill("#find", "L9.1")
    tab.wait_for_selector("p.problem:has-text('There is no cell L9.1 here')")
    tab.fill("#find", "l1.7")
    tab.wait_for_selector("p.lead a:has-text('L1.7')")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/cells/L1/7.html")


def test_on_the_command_line(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    from tests.fixtures.programs import ffmem as run

    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    told, progress = run("site", tmp_path / "i", "--out", tmp_path / "site", "--workers", 1)
    assert "index.html" in told and "layer 3 of 3" in progress
    assert (tmp_path / "site" / "cells" / "L2" / "47.html").is_file()


def test_an_index_of_some_cells_has_their_pages(sparse_index_of: Callable[[str, str], Index], tmp_path: Path) -> None:
    write_site(sparse_index_of("gpt2", "L2,L0.5-9,L0.11").folder, tmp_path / "site", options=SiteOptions(triggers=2))
    names = {f"{path.parent.name}.{path.stem}" for path in (tmp_path / "site" / "cells").glob("*/*.html")}
    assert len(names) == 54 and {"L0.5", "L0.11", "L2.47"} <= names and "L0.0" not in names
    assert "[[&#34;L0&#34;, 6, 0, [5, 6, 7, 8, 9, 11]], [&#34;L2&#34;, 48, 0, null]]" in (
        tmp_path / "site" / "search.html"
    ).read_text("utf-8")


@pytest.fixture
def made(tmp_path: Path) -> Index:
    """Two layers of a few cells, written by hand."""
    documents = [Document([["the", " old", " river"], ["a", " river"]], "one"), Document([["b"]], "two", held_out=True)]
    layers = [Layer([[1, -1], [2, -1], [3, -1], [0, -1], [4, -1]]), Layer([[1], [0], [0], [0], [0]])]
    return make_index(tmp_path / "i", documents, layers)


def test_collections_are_read_there_and_lead_to_their_cells(made: Index, tmp_path: Path) -> None:
    write_site(made.folder, tmp_path / "without")
    assert "collections.html" not in (tmp_path / "without" / "index.html").read_text()
    made.names.add([NewLabel(CellId(1, 0), 1, "human", "starts 'the'", author="ann")])
    collections = Collections(made)
    items = [Item(CellId(0, 0), 1, (Note("ann", "<b>wet</b>"),), ("t",)), Item(CellId(1, 0))]
    collections.change("water", adding("water", collections.origin, items, "what it is"))
    (made.folder / "collections" / "bad.json").write_text("{")
    found = write_site(made.folder, tmp_path / "site")
    pages = pages_of(tmp_path / "site")
    assert found.n_pages == len(pages)
    for path, links in pages.items():
        assert not links.strange
        for target in links.targets:
            file = unquote(target.split("?")[0].split("#")[0])
            assert not file or (path.parent / file).is_file(), (path, target)
    page = (tmp_path / "site" / "collections" / "water.html").read_text()
    assert "&lt;b&gt;wet&lt;/b&gt;" in page and 'href="../cells/L0/0.html"' in page and "starts" in page
    assert "<form" not in page.split("<main")[1].split("</main")[0]
    assert "is damaged" in (tmp_path / "site" / "collections.html").read_text()
    assert 'href="../../collections/water.html"' in (tmp_path / "site" / "cells" / "L0" / "0.html").read_text()
    assert "water.html" not in (tmp_path / "site" / "cells" / "L0" / "1.html").read_text()
    write_site(made.folder, tmp_path / "no-text", options=SiteOptions(text=False))
    page = (tmp_path / "no-text" / "collections" / "water.html").read_text()
    assert "starts" not in page and "wet" in page  # a name that quotes the text is gone, what people say is not


def test_the_picture_of_all_cells_leads_to_their_pages(made: Index, tmp_path: Path) -> None:
    write_site(made.folder, tmp_path / "in order")
    assert "a row for each layer" in (tmp_path / "in order" / "atlas.html").read_text()
    with_atlas(made)
    write_site(made.folder, tmp_path / "site")
    page = (tmp_path / "site" / "atlas.html").read_text()
    main = page.split("<main")[1].split("</main")[0]
    assert main.count("<path") >= 1 and "<form" not in main and "atlas.js" not in page
    assert "50 %</strong> of a cell" in main and "/atlas" not in main
    for layer in made.cells.layers:
        for row in range(layer.n_cells):
            assert f'href="cells/{layer.name}/{row}.html"' in main
    pages = pages_of(tmp_path / "site")
    assert not pages[tmp_path / "site" / "atlas.html"].strange
    for target in pages[tmp_path / "site" / "atlas.html"].targets:
        file = unquote(target.split("?")[0].split("#")[0])
        assert not file or (tmp_path / "site" / file).is_file(), target


def test_done_is_a_written_record(made: Index, tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    out = tmp_path / "far" / "site"
    found = write_site(made.folder, out, options=SiteOptions(2), progress=lambda done, n: told.append((done, n)))
    record = json.loads((out / "ffmem-site.json").read_text())
    assert record["finished"] and record["options"] == {"triggers": 2, "text": True}
    assert record["index"] == index_id(made) and told == [(0, 2), (1, 2), (2, 2)]
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "ffmem-site.json"]
    assert found.n_pages == record["n_pages"] == sum(path.suffix == ".html" for path in files) == 3 + 2 + 5
    assert found.n_bytes == sum(path.stat().st_size for path in files) and found.folder == out


def test_an_earlier_site_is_replaced_whole_or_told_unfinished(
    made: Index, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "site"
    out.mkdir()  # an empty folder will do
    write_site(made.folder, out)
    (out / "cells" / "of-an-earlier-index.html").write_text("old")

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("ffmem.site.write.write_layer", stop)
        with pytest.raises(KeyboardInterrupt):
            write_site(made.folder, out)
    assert json.loads((out / "ffmem-site.json").read_text())["finished"] is False
    write_site(made.folder, out)
    assert json.loads((out / "ffmem-site.json").read_text())["finished"]
    assert not (out / "cells" / "of-an-earlier-index.html").exists() and (out / "cells" / "L1" / "0.html").is_file()


def test_search_knows_the_cells_by_number(made: Index, tmp_path: Path) -> None:
    write_site(made.folder, tmp_path / "site")
    search = tmp_path / "site" / "search"
    assert sorted(path.name for path in search.iterdir() if path.name.startswith("c-")) == ["c-0.js", "c-1.js"]
    # the vocabulary is " old", " river", "a", "b", "the"; every cell promotes its first two
    assert (search / "c-0.js").read_text() == 'ffmemTake("c-0",[[" river"," old"," river"],[""," old"," river"]]);\n'
    assert (search / "c-1.js").read_text() == 'ffmemTake("c-1",[["the"," old"," river"]]);\n'
    postings = "".join(path.read_text() for path in search.glob("t-*.js"))
    assert '"river":"0 2"' in postings and '"a":"0"' in postings and '"b"' not in postings  # which is held out
    assert not (tmp_path / "site" / "figures").exists()  # there is no study


@pytest.mark.parametrize("triggers", [0, -1])
def test_a_page_without_triggers_is_refused_before_anything_is_touched(
    made: Index, tmp_path: Path, triggers: int
) -> None:
    with pytest.raises(InputError, match=f"--triggers is {triggers}. Expected 1 or more. Write --triggers 10"):
        write_site(made.folder, tmp_path / "site", options=SiteOptions(triggers))
    with pytest.raises(StoreError, match="there is no index in"):
        write_site(tmp_path, tmp_path / "site")
    assert not (tmp_path / "site").exists()


def test_a_file_in_its_place_is_left_alone(made: Index, tmp_path: Path) -> None:
    (tmp_path / "site").write_text("years of work")
    with pytest.raises(InputError, match="not a site written by ffmem"):
        write_site(made.folder, tmp_path / "site")
    assert (tmp_path / "site").read_text() == "years of work"

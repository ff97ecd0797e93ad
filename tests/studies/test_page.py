"""The page needs nothing but itself, and every chart and table lies beside it as files."""

import csv
import json
import re
from html.parser import HTMLParser

from ffmem.studies.page import N_SHOWN
from tests.studies.conftest import Story


class Elements(HTMLParser):
    """What a page has in it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name == "id":
                self.ids.append(value or "")
            elif name == "href":
                self.links.append(value or "")
            elif name in ("src", "srcset", "data"):
                self.loads.append(value or "")
        if tag in ("link", "iframe", "object", "embed"):
            self.loads.append(tag)

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_loads_nothing(story: Story) -> None:
    text = story.page.read_text("utf-8")
    page = Elements(text)
    assert not page.loads and len(set(page.ids)) == len(page.ids)
    assert not [link for link in page.links if ":" in link]
    for link in page.links:
        assert link.removeprefix("#") in page.ids if link.startswith("#") else (story.page.parent / link).is_file(), (
            link
        )
    style = text.split("<style>")[1].split("</style>")[0]
    assert not re.search(r"url\(|@import", style)


def test_every_number_claim_and_word_is_on_it(story: Story) -> None:
    words = " ".join(" ".join(Elements(story.page.read_text("utf-8")).words).split())
    for _, number in story.report.numbers:
        assert " ".join(number.quantity.split()) in words and number.text() in words
    for _, claim in story.report.claims:
        assert claim.statement in words and claim.why in words
    for section in story.report.sections:
        assert section.reading in words and section.conclude in words and section.sample in words


def test_charts_are_drawn_from_what_the_files_hold(story: Story) -> None:
    text, beside = story.page.read_text("utf-8"), story.page.parent / "figures"
    specs = json.loads(text.split('id="charts">')[1].split("</script>")[0])
    assert list(specs) == sorted(story.report.charts) and len(specs) >= 14
    for name, chart in story.report.charts.items():
        assert f'id="chart-{name}"' in text
        assert (beside / f"{name}.png").read_bytes().startswith(b"\x89PNG")
        assert b"<svg" in (beside / f"{name}.svg").read_bytes()[:200]
        with (beside / f"{name}.csv").open() as file:
            kept = list(csv.DictReader(file))
        assert kept
        drawn = json.dumps(specs[name])
        for row in kept:
            for value in row.values():
                assert json.dumps(value) in drawn or value in drawn, (name, row)
        assert {row["name"] for row in kept if "name" in row} <= {one["name"] for one in chart.rows if "name" in one}


def test_tables_are_whole_in_their_files(story: Story) -> None:
    page = Elements(story.page.read_text("utf-8"))
    for name, table in story.report.tables.items():
        assert f"figures/{name}.csv" in page.links
        with (story.page.parent / "figures" / f"{name}.csv").open() as file:
            kept = list(csv.DictReader(file))
        assert len(kept) == len(table.rows) and set(table.columns) <= set(kept[0])
    assert len(story.report.tables["strongest-values"].rows) > N_SHOWN
    with (story.page.parent / "figures" / "numbers.csv").open() as file:
        assert len(list(csv.DictReader(file))) == len(story.report.numbers)

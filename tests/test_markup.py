"""Every text that is shown is escaped, once."""

import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem.markup import Markup, Table, captioned, each, environment, escape, heatmap, table

BAD = "<script>\"&'</script>"


class Reader(HTMLParser):
    """Tags and text as a browser sees them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.text = ""
        self.titles: list[str | None] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.titles += [value for name, value in attrs if name == "title"]

    def handle_data(self, data: str) -> None:
        self.text += data


def read(text: str) -> Reader:
    reader = Reader()
    reader.feed(text)
    reader.close()
    return reader


@given(st.text(alphabet=st.characters(exclude_characters="\r\x00", exclude_categories=["Cs", "Cc"])))
def test_a_browser_reads_the_text_that_was_put_in(text: str) -> None:
    seen = read(Markup("<b>{}</b>").format(text))
    assert seen.tags == ["b"] and seen.text == text


def test_markup_is_not_escaped_twice_and_stays_markup() -> None:
    inner = Markup("<i>{}</i>").format(BAD)
    whole = Markup("<p>{}{}</p>").format(inner, inner) + BAD
    assert isinstance(whole, Markup) and read(whole).tags == ["p", "i", "i"]
    assert Markup(", ").join([inner, BAD]) == inner + ", " + escape(BAD)
    assert each("<td>{:.2f} {}</td>", [(0.5, BAD)]) == f"<td>0.50 {escape(BAD)}</td>"
    assert escape(escape(BAD)) == escape(BAD) != BAD


def test_names_and_rows_of_a_table_are_escaped() -> None:
    seen = read(captioned(BAD, [BAD], [[BAD], [(BAD, BAD)], [0.123456], [None], [12345]]))
    assert "script" not in seen.tags and seen.text.count("<script>") == 5
    assert "0.1235" in seen.text and "12345" in seen.text


def test_a_long_table_says_how_much_is_missing() -> None:
    shown = table(["n"], [[i] for i in range(1234)])
    assert shown.count("<tr>") == 101 and "and 1,134 rows more" in shown


@dataclass(frozen=True)
class Row:
    name: str
    n: float


def test_a_list_of_records_shows_itself() -> None:
    seen = read(Table([Row(BAD, 1.0)])._repr_html_())
    assert seen.text == f"namen{BAD}1"
    assert read(Table()._repr_html_()).text == "no rows"


def test_a_heat_map_has_its_numbers_in_its_titles() -> None:
    seen = read(heatmap("α", [BAD], ["to", BAD], [[0.25, 0.5]]))
    assert seen.titles == [f"{BAD} ← to: 0.25", f"{BAD} ← {BAD}: 0.5"]
    assert "darkest 0.5" in seen.text and "script" not in seen.tags


def test_templates_escape_and_refuse_unknown_names() -> None:
    jinja2 = pytest.importorskip("jinja2", reason="templates need the extra explorer")
    made = environment("ffmem.server")
    assert made.from_string("{{ x }}").render(x=BAD) == escape(BAD).replace("&quot;", "&#34;").replace(
        "&#x27;", "&#39;"
    )
    assert made.from_string("{{ x }}").render(x=Markup("<b>")) == "<b>"
    with pytest.raises(jinja2.UndefinedError):
        made.from_string("{{ y }}").render()


def test_tables_need_no_template_engine() -> None:
    script = (
        "import sys; sys.modules['jinja2'] = sys.modules['markupsafe'] = None\n"
        "from ffmem.markup import table; print(table(['<'], [['&']]))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert "<th>&lt;</th>" in done.stdout and "&amp;" in done.stdout

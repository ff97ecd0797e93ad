"""A page as a browser sees it: its elements in a tree, read by the parser of the standard library."""

from collections.abc import Iterator
from html.parser import HTMLParser

from hypothesis import settings
from hypothesis import strategies as st

_WITHOUT_END = {"meta", "link", "input", "img", "br", "hr", "area", "base", "col", "embed", "source", "track", "wbr"}
_ADDRESSES = ("href", "src", "action", "data-spec")
FEW = settings(max_examples=20, deadline=None)
"""A page takes milliseconds."""
HOSTILE = st.one_of(
    st.sampled_from(
        [
            "<script>alert(1)</script>", '"><img src=x onerror=y>', "' onmouseover='x' y=\"", "</title></textarea>",
            "{{ 7 * 7 }}{% raw %}", "&lt;b&gt; &amp; &#60;", "\u202eright to left\u200f", "a\u2028b\u2029c", "\x00\x1b[31m",
            "half \ud800 a character", "javascript:alert(1)", "<!-- -->", "]]>", "  ", "日本 <é>",
        ]
    ),
    st.text(max_size=12),
)  # fmt: skip
"""Texts that a page must show as they are: what a corpus, a model, a folder or a visitor may bring."""


class Element:
    """An element with what is in it."""

    def __init__(self, tag: str, attributes: dict[str, str]) -> None:
        self.tag, self.attributes = tag, attributes
        self.inside: list[Element | str] = []

    @property
    def text(self) -> str:
        """All text in it, as it stands."""
        return "".join(one if isinstance(one, str) else one.text for one in self.inside)

    @property
    def words(self) -> str:
        """All text in it, with single spaces."""
        return " ".join(self.text.split())

    def __iter__(self) -> Iterator["Element"]:
        """Every element in it, in the order of the page."""
        for one in self.inside:
            if isinstance(one, Element):
                yield one
                yield from one

    def all(self, tag: str, **attributes: str) -> list["Element"]:
        """Elements of a tag; ``class_`` names one of its classes."""
        return [one for one in self if one.tag == tag and one._has(attributes)]

    def one(self, tag: str, **attributes: str) -> "Element":
        """The only such element."""
        (found,) = self.all(tag, **attributes)
        return found

    def by_id(self, name: str) -> "Element":
        """The element with an id."""
        (found,) = (one for one in self if one.attributes.get("id") == name)
        return found

    def rows(self) -> list[list[str]]:
        """The cells of a table's body."""
        body = self.one("tbody")
        return [[cell.words for cell in row.inside if isinstance(cell, Element)] for row in body.all("tr")]

    def _has(self, attributes: dict[str, str]) -> bool:
        own = self.attributes
        classes = own.get("class", "").split()
        return all(
            value in classes if name == "class_" else own.get(name.replace("_", "-")) == value
            for name, value in attributes.items()
        )


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open = [Element("", {})]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"<{tag}> has an attribute twice: {names}"
        made = Element(tag, {name: value or "" for name, value in attrs})
        self.open[-1].inside.append(made)
        if tag not in _WITHOUT_END:
            self.open.append(made)

    def handle_endtag(self, tag: str) -> None:
        assert self.open[-1].tag == tag, f"</{tag}> stands within <{self.open[-1].tag}>"
        self.open.pop()

    def handle_data(self, data: str) -> None:
        self.open[-1].inside.append(data)


def read_page(text: str) -> Element:
    """A page's elements; every one that is opened must be closed, in order."""
    reader = _Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1, f"<{reader.open[-1].tag}> is never closed"
    return reader.open[0]


def shown_token(text: str) -> str:
    """How a token stands on a page: white space and what cannot be printed are made visible."""
    visible = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "↵"}
    return "".join(visible.get(one, one if one.isprintable() else f"\\x{ord(one):02x}") for one in text) or "(empty)"


def shape(page: Element) -> list[object]:
    """What a text that is shown must not change: elements, and the names of their attributes. White space is marked in
    tokens by elements of its own, which are left out."""
    return [(one.tag, *one.attributes) for one in page if one.tag != "i"]


def addresses(page: Element) -> list[str]:
    """What a page leads to on its server, and what it is made with."""
    found = [one.attributes[name] for one in page for name in _ADDRESSES if name in one.attributes]
    return [one for one in found if not one.startswith("#")]


def assert_sound(text: str) -> Element:
    """What every page has: a language, a title, one heading, names of all that can be filled in or chosen."""
    page = read_page(text)
    assert page.one("html").attributes["lang"] == "en"
    assert page.one("head").one("title").words.endswith("· ffmem") and page.one("head").one("title").words != "· ffmem"
    assert page.one("h1").words and page.one("main") and page.one("meta", name="viewport")
    ids = [one.attributes["id"] for one in page if "id" in one.attributes]
    assert len(ids) == len(set(ids)), sorted(ids)
    for one in page:
        for name in ("for", "aria-labelledby"):
            assert one.attributes.get(name, ids[0]) in ids, (one.tag, one.attributes)
        if one.tag == "img":
            assert one.attributes.get("alt"), one.attributes
        if one.tag in ("button", "a"):
            assert one.words or one.attributes.get("aria-label"), one.attributes
    named = {one.attributes["for"] for one in page.all("label") if "for" in one.attributes}
    within = {id(field) for label in page.all("label") if label.words for field in label}
    for field in (one for one in page if one.tag in ("input", "select", "textarea")):
        own = field.attributes
        labelled = own.get("aria-label") or own.get("id") in named or id(field) in within
        assert own.get("type") == "hidden" or labelled, own
    return page

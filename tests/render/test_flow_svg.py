"""The picture of a prediction's flow, read by the XML reader of the standard library."""

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ffmem.analyses.attention.inputs import AttentionToken
from ffmem.analyses.flow_parts import HeadShare, Sum, cut
from ffmem.render.flow_svg import as_file, flow_svg
from tests.fixtures.made_flow import made_fired, made_flow
from tests.server.page import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def read(picture: bytes) -> ElementTree.Element:
    return ElementTree.fromstring(picture)


def nodes(tree: ElementTree.Element) -> dict[str, ElementTree.Element]:
    return {one.attrib["data-part"]: one for one in tree.iter() if "data-part" in one.attrib}


def test_dots_are_as_large_as_their_parts_and_say_them() -> None:
    found = made_flow()
    drawn = cut(found.sum, 0.5, n_before=1)
    tree = read(as_file(flow_svg(found, drawn)))
    shown = nodes(tree)
    assert set(shown) == {one.name for one in drawn.shown} | {"L0.rest", "L1.rest"}
    labels = "\n".join(one.attrib["aria-label"] for one in shown.values()).replace("\u2212", "-")
    told = [float(one) for one in re.findall(r": ([+-][\d.]+)", labels)]
    assert sum(told) + 0.5 == pytest.approx(4.125, abs=0.02)  # three digits each; the constant stands above
    radius = {name: float(one.find(f"{SVG}circle").attrib["r"]) for name, one in shown.items()}  # type: ignore[union-attr]
    assert radius["L0.3"] / radius["L0.H1@-1"] == pytest.approx(2**0.5, rel=0.02)  # areas: 2 to 1
    colours = {name: one.find(f"{SVG}circle").attrib["class"] for name, one in shown.items()}  # type: ignore[union-attr]
    assert colours["L0.3"] == "plus" and colours["L0.H1@-1"] == colours["L1.H1@-1"] == "minus"


def place(node: ElementTree.Element) -> tuple[float, float]:
    dot = node.find(f"{SVG}circle")
    assert dot is not None
    return float(dot.attrib["cx"]), float(dot.attrib["cy"])


def test_layers_go_up_tokens_to_the_right_and_cells_stand_beyond() -> None:
    found = made_flow()
    shown = nodes(read(as_file(flow_svg(found, cut(found.sum, 1.0, n_before=1)))))
    (x, low), (_, high) = place(shown["L0.H1@-1"]), place(shown["L1.H1@-1"])
    assert high < low < place(shown["embedding"])[1]
    assert x == place(shown["L1.H1@-1"])[0] < place(shown["L0.H0@0"])[0] < place(shown["L0.H1@1"])[0]
    assert place(shown["L0.H1@1"])[0] < place(shown["embedding"])[0] < place(shown["L0.3"])[0]
    assert len({place(one) for one in shown.values()}) == len(shown)  # none hides another


def test_the_sum_so_far_is_the_sum_up_to_a_layer() -> None:
    found = made_flow()
    tree = read(as_file(flow_svg(found, cut(found.sum, 0.3, n_before=1))))
    labels = ["".join(one.itertext()) for one in tree.iter(f"{SVG}text")]
    so_far = [one for one in labels if one.startswith("The sum so far")]
    assert [one[-5:] for one in so_far] == ["+3.62", "+3.56"]  # 3.625 and 3.5625, three digits, the last layer first


def test_of_a_long_text_only_tokens_that_are_read_have_a_column() -> None:
    found = made_flow()
    layer = found.sum.layers[0]
    far = replace(layer, heads=(HeadShare(0, 0.75, (*[0.0] * 4, 0.75, *[0.0] * 95)),))
    tokens = tuple(AttentionToken(f"w{number}", number, False) for number in range(100))
    long = replace(found, tokens=tokens, n_before=0, sum=Sum(1.0, (far,), 0.5))
    tree = read(as_file(flow_svg(long, cut(long.sum, None))))
    turned = ["".join(one.itertext()) for one in tree.iter(f"{SVG}text") if "transform" in one.attrib]
    assert turned == ["4 w4", "99 w99"] and float(tree.attrib["width"]) < 700


def test_a_pinned_cell_is_joined_to_what_made_it_fire() -> None:
    found = made_flow(fired=(made_fired(),))
    drawn = cut(found.sum, 0.1, ("L1.7",), n_before=1)
    tree = read(
        as_file(
            flow_svg(found, drawn, pinned=("L1.7",), link=lambda part: f"/cells/{part.name}" if part.cell else None)
        )
    )
    joined = [one for one in tree.iter(f"{SVG}path") if one.attrib.get("class", "").startswith("made")]
    titles = [one.find(f"{SVG}title").text for one in joined]  # type: ignore[union-attr]
    assert titles[0] == "L0.3 gives +2 to the key of L1.7"
    cell = nodes(tree)["L1.7"]
    assert cell.tag == f"{SVG}a" and cell.attrib["href"] == "/cells/L1.7" and "pinned" in cell.attrib["class"].split()


def test_hostile_tokens_and_names_stay_text() -> None:
    tags = {one.tag for one in read(as_file(flow_svg(made_flow(), cut(made_flow().sum, 1.0, n_before=1)))).iter()}

    @settings(max_examples=25, deadline=None)
    @given(text=HOSTILE | st.text(max_size=20))
    def check(text: str) -> None:
        found = made_flow(tokens=(text, text, text), target=text, against=text, name=text)
        picture = as_file(flow_svg(found, cut(found.sum, 1.0, n_before=1), link=lambda _: "/x"))
        tree = read(picture)
        assert {one.tag for one in tree.iter()} <= tags | {f"{SVG}a"}
        assert not [name for one in tree.iter() for name in one.attrib if name.startswith("on")]
        assert not set(picture.decode()) & set("\x00\x1b\u202e\u2028")

    check()

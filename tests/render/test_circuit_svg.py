"""The picture of a graph, read by the XML reader of the standard library."""

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings

from ffmem.render.circuit_svg import circuit_svg
from ffmem.render.flow_svg import as_file
from tests.fixtures.made_circuit import made_circuit
from tests.server.page import HOSTILE

SVG = "{http://www.w3.org/2000/svg}"


def test_layers_go_up_tokens_to_the_right_and_size_is_area() -> None:
    found = made_circuit()
    tree = ElementTree.fromstring(as_file(circuit_svg(found)))
    shown = {one.attrib["data-node"]: one for one in tree.iter() if "data-node" in one.attrib}
    assert set(shown) == {one.name for one in found.nodes}
    cell, other = (shown[name].find(f"{SVG}circle") for name in ("L0.3@1", "L1.7@1"))
    assert cell is not None and other is not None
    assert float(cell.attrib["r"]) ** 2 / float(other.attrib["r"]) ** 2 == pytest.approx(3 / 0.5, rel=0.1)
    assert float(other.attrib["cy"]) < float(cell.attrib["cy"])
    tokens = [shown[name].find(f"{SVG}rect") for name in ("token@0", "token@1")]
    x = [float(one.attrib["x"]) for one in tokens if one is not None]
    assert x[0] < x[1] and all(float(one.attrib["y"]) > float(cell.attrib["cy"]) for one in tokens if one is not None)
    assert "minus" in shown["L1.7@1"].attrib["class"] and "plus" in shown["L0.3@1"].attrib["class"]


def test_lines_are_as_thick_as_what_flows() -> None:
    tree = ElementTree.fromstring(as_file(circuit_svg(made_circuit())))
    lines = {}
    for one in tree.iter(f"{SVG}path"):
        title = one.find(f"{SVG}title")
        if "edge" in one.attrib.get("class", "") and title is not None and title.text:
            lines[title.text.partition(":")[0]] = (float(one.attrib["stroke-width"]), one.attrib["class"])
    assert len(lines) == 6
    assert lines["L0.3@1 to score"][0] / lines["L1.H1@1 to score"][0] == pytest.approx(2.75 / 1.5, rel=0.05)
    assert lines["L0.3@1 to L1.7@1"][1] == "edge minus"


@settings(max_examples=40)
@given(HOSTILE)
def test_any_text_is_text(text: str) -> None:
    picture = as_file(circuit_svg(made_circuit(tokens=(text, text, text), target=text, name=text or None)))
    assert ElementTree.fromstring(picture).tag == f"{SVG}svg" and b"<script" not in picture


def test_a_graph_without_nodes_is_a_picture() -> None:
    tree = ElementTree.fromstring(as_file(circuit_svg(made_circuit(nodes=(), edges=()))))
    assert float(tree.attrib["width"]) > 100

"""What a graph says of itself without a model."""

import json

import pytest

from ffmem.analyses.circuit.graph_parts import LeftOut
from ffmem.json_values import json_text
from tests.fixtures.made_circuit import made_circuit


def test_shares_that_are_left_out_and_the_sum() -> None:
    found = made_circuit()
    assert [one.share for one in found.left_out] == [0.0625, 0.5, 0.25, 0.0]
    assert LeftOut("bias", 0, 0, 0.0, 0.0, 0.0, 0.0).share == 0.0
    assert found.total == pytest.approx(found.score)
    assert made_circuit(constant=1.0, inner_biases=0.5).total == pytest.approx(5.5)


def test_a_notebook_shows_what_is_there_and_text_is_text() -> None:
    shown = made_circuit(name="<b>sea</b>")._repr_html_()
    assert "L0.3@1" in shown and "&lt;b&gt;sea" in shown and "<b>sea" not in shown
    assert shown.count("<table>") == 3
    assert json.loads(json_text(made_circuit()))["edges"][0] == {"source": "L0.3@1", "target": "score", "worth": 2.75}

"""The page of a graph stands alone: no address of another machine, and every number of the graph."""

import re

from ffmem.render.circuit_page import circuit_page
from tests.fixtures.made_circuit import made_circuit


def test_all_nodes_and_edges_are_in_the_tables() -> None:
    page = circuit_page(made_circuit(name="<i>water</i>"))
    tables = re.findall(r"<tbody>(.*?)</tbody>", page, re.DOTALL)
    assert [one.count("<tr>") for one in tables] == [6, 6]
    assert "&lt;i&gt;water" in page and "<i>water" not in page
    assert "cells: 2 of 200 kept, 50 % of the size of all left out" in page
    assert '<td class="number">+2.75</td><td>L0.3@1</td><td>score</td>' in page
    assert not re.findall(r'(?:src|href)="http', page) and "<svg" in page

"""Two cells beside each other, against sets."""

from collections.abc import Callable

import pytest

from ffmem import Index
from ffmem.server.explorer import Explorer
from ffmem.server.links import Links
from ffmem.server.pages import render
from ffmem.server.views.compare import compare_view
from tests.server.page import assert_sound


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_what_both_have_is_what_is_in_both_lists(family: str, index_of: Callable[[str], Index]) -> None:
    index = index_of(family)
    explorer, n_shared = Explorer(index), 0
    for second in ("L1.7", "L2.9"):
        view = compare_view(explorer, index.cell_id("L1.3"), index.cell_id(second))
        a, b = index.cell("L1.3"), index.cell(second)
        fired = [{one.tokens[one.position] for one in cell.triggers} for cell in (a, b)]
        assert set(view.firing_tokens) == fired[0] & fired[1] and len(set(view.firing_tokens)) == len(
            view.firing_tokens
        )
        up = [{one.token for one in cell.promoted} for cell in (a, b)]
        down = [{one.token for one in cell.suppressed} for cell in (a, b)]
        assert set(view.promoted) == up[0] & up[1] and set(view.suppressed) == down[0] & down[1]
        assert set(view.promoted_by_first) == up[0] & down[1] and set(view.promoted_by_second) == up[1] & down[0]
        sentences = [{one.sentence_id for one in cell.triggers} for cell in (a, b)]
        assert set(view.sentences) == sentences[0] & sentences[1]
        n_shared += len(view.firing_tokens) + len(view.promoted)
        page = assert_sound(render("compare.html", Links(), explorer=explorer, here="/cells/L1.3/compare", view=view))
        assert [one.words for one in page.one("div", class_="versus").all("h2")] == ["L1.3", second]
    assert n_shared

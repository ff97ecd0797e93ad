"""A picture of all cells in words: what it took, how far it can be trusted."""

from dataclasses import replace
from pathlib import Path

from ffmem.queries.atlas.layout import AtlasPlan
from ffmem.render import atlas, atlas_plan
from tests.queries.atlas.made import FACTS


def test_what_it_will_take_is_told_first() -> None:
    assert (
        atlas_plan(AtlasPlan("values", 46_080, 46_080, 90, 4 * 10**8))
        == "46,080 cells by values: about 1.5 min, 0.4 GB"
    )
    some = atlas_plan(AtlasPlan("keys", 10**6, 60_000, 3_600, 9 * 10**9))
    assert some == "1,000,000 cells by keys, 60,000 of them laid out and the others put between: about 60.0 min, 9.0 GB"


def test_what_can_be_trusted_is_told_with_chance_beside_it() -> None:
    facts = replace(FACTS, n_cells=1000, n_fitted=1000, kept=0.25, kept_by_chance=0.005, far=0.1, n_apart=3)
    shown = atlas(facts, Path("x/atlas/triggers.npz"))
    assert "neighbours kept: 25.0% of the 2 nearest; 0.50% if all places are shuffled (50 times as many)" in shown
    assert "rank correlation of far distances: 0.10 (1: they agree)" in shown and "3 cells are like no other" in shown
    assert shown.endswith("kept in x/atlas/triggers.npz; the explorer shows it: /atlas")
    assert "drawn by lot" not in shown and "600 cells drawn by lot" in atlas(replace(facts, n_fitted=600), Path("x"))

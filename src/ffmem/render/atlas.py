"""A picture of all cells in words."""

from pathlib import Path
from typing import TYPE_CHECKING

from ffmem.render.terminal import one_line
from ffmem.store.atlas import AtlasFacts

if TYPE_CHECKING:
    from ffmem.queries.atlas.layout import AtlasPlan


def atlas_plan(plan: "AtlasPlan") -> str:
    """What a picture will take, before it is made."""
    some = "" if plan.n_fitted == plan.n_cells else f", {plan.n_fitted:,} of them laid out and the others put between"
    minutes = max(plan.seconds / 60, 0.1)
    return f"{plan.n_cells:,} cells by {plan.by}{some}: about {minutes:.1f} min, {plan.n_bytes / 1e9:.1f} GB"


def atlas(facts: AtlasFacts, path: Path) -> str:
    """`ffmem atlas`."""
    times = facts.kept / facts.kept_by_chance if facts.kept_by_chance else 0
    lines = [
        f"{facts.n_cells:,} cells by {facts.by}, seed {facts.seed}, in {facts.seconds:,.0f} s",
        f"neighbours kept: {facts.kept:.1%} of the {facts.neighbours} nearest; {facts.kept_by_chance:.2%} if all places are "
        f"shuffled{f' ({times:,.0f} times as many)' if times else ''}",
    ]
    if facts.far is not None:
        lines.append(f"rank correlation of far distances: {facts.far:.2f} (1: they agree)")
    if facts.n_fitted < facts.n_cells:
        lines.append(
            f"{facts.n_fitted:,} cells drawn by lot were laid out, each other one put between those nearest to it"
        )
    if facts.n_apart:
        lines.append(f"{facts.n_apart:,} cells are like no other, and lie in a strip below")
    return "\n".join([*lines, "", f"kept in {one_line(str(path))}; the explorer shows it: /atlas"])

"""Small answers made up for the tests of how they look."""

from ffmem import Cell
from ffmem.cell import Document, PromotedToken, Statistics, Trigger
from ffmem.ids import CellId


def trigger(sign: int = 1, rank: int = 0, coefficient: float = 3.25) -> Trigger:
    text = "the old\nriver bends"
    return Trigger(
        sign=sign, rank=rank, coefficient=coefficient, sentence_id=7, position=2, tokens=("the", " old", "\nriver", " bends"),
        text=text, span=(7, 13), next_token=" bends", n_occurrences=1, document=Document(0, "a", {}),
    )  # fmt: skip


STATISTICS = Statistics(
    n_tokens=1000, n_sentences=50, active_fraction=0.125, mean=-0.5, mean_square=4.0, minimum=-1.5, maximum=6.0,
    histogram_edges=(), histogram=(),
)  # fmt: skip


def cell(*triggers: Trigger) -> Cell:
    return Cell(
        cell=CellId(1, 3), statistics=STATISTICS, projection="raw", triggers=triggers,
        promoted=(PromotedToken(" sea\x1b", 5, 2.0),), suppressed=(PromotedToken("hill", 6, -2.0),),
    )  # fmt: skip

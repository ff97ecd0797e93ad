"""One cell's life in a terminal."""

from dataclasses import replace

from ffmem.analyses.through_training.life import Life, LifeMoment
from ffmem.cell import Name
from ffmem.ids import CellId
from ffmem.render import life
from tests.render.made import trigger

FIRST = LifeMoment("step 0", 0, 0.125, 3.25, None, "\x1b[0m", False, float("nan"), 0.0, None)
LAST = replace(
    FIRST, moment="step 1,000", step=1000, trigger=trigger(), top_token=" bends", agrees=True, with_previous=0.25,
    with_last=1.0, name=Name("rivers", "human", "by hand"),
)  # fmt: skip


def test_a_line_for_each_moment() -> None:
    head, columns, first, last, note = life(Life(CellId(1, 3), (FIRST, LAST))).split("\n")
    assert head == "L1.3" and columns.split() == ["moment", "active", "before", "last", "promotes", "best", "trigger"]
    assert first.split() == ["step", "0", "12.50%", "-", "0.000", "⟨\\x1b[0m⟩", "never", "fires"]
    assert "step 1,000" in last and "0.250   1.000  ⟨ bends⟩*" in last and "the old [river] bends  = rivers" in last
    assert "follows its best trigger" in note

"""What tests say of cells."""

from typing import Any

from ffmem.ids import CellId
from ffmem.store.label_rows import NewLabel, Score
from ffmem.store.labels import Labels

CELL, OTHER = CellId(0, 1), CellId(0, 3)


def said(text: str, source: Any = "human", cell: CellId = CELL, sign: int = 1, **more: Any) -> NewLabel:
    return NewLabel(cell, sign, source, text, **more)


def score(value: float, measure: str = "detection_hard") -> Score:
    return Score(measure, value, value - 0.1, value + 0.1, 30, 1, "judge", "valid")


def shown(labels: Labels, cell: CellId = CELL, sign: int = 1) -> str | None:
    name = labels.name(cell, sign)
    return None if name is None else str(name)


PASSES = {"passes": True, "beats_rule": True}

"""The cells nearest to a cell, in each sense that can be asked."""

from dataclasses import dataclass

from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json
from ffmem.queries.similar import Likeness, Similar

TITLES: dict[Likeness, str] = {
    "triggers": "shared triggers", "promoted": "promoted tokens", "key": "key", "gate-key": "gate key",
    "up-key": "up key", "value": "value",
}  # fmt: skip
NEEDS_MODEL: tuple[Likeness, ...] = ("key", "gate-key", "up-key", "value")


@dataclass(frozen=True)
class SimilarView:
    """Cells near to one."""

    cell: CellId
    by: Likeness
    choices: tuple[Likeness, ...]
    similar: Similar

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self.similar) | {"choices": self.choices}

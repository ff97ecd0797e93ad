"""What a user may choose about a study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers

FULL: JsonObject = {"edited_cells": 100, "edited_triggers": 50, "scored_cells": 0}
"""The paper's 100 cells x 50 triggers a layer for Figure 3; and every cell's patterns are scored."""
_LEAST = {"scored_cells": 0, "transplanted": 0}


@dataclass(frozen=True)
class StudyOptions:
    """Options that decide what a study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    prefixes: int = 4000
    """Random prefixes of held-out text (Figures 7 to 11)."""
    edited_cells: int = 40
    """Cells of each layer whose triggers are changed (Figure 3)."""
    edited_triggers: int = 2
    """Triggers of each of them."""
    scored_cells: int = 200
    """Cells of each layer whose patterns are tried on held-out text; 0: all."""
    scored_positions: int = 5000
    """Held-out positions they are tried on."""
    meaning_positions: int = 60_000
    """Positions of the text, indexed and held-out, at which coefficients are taken apart."""
    meaning_cells: int = 100
    """Cells of each layer whose coefficients are."""
    transplanted: int = 400
    """Positions whose contexts are replaced by others; 0: none."""
    removed_prefixes: int = 200
    """Held-out prefixes at whose last token cells are removed."""
    control_tokens: int = 100_000
    """Tokens of the text that controls are indexed on."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, _LEAST)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

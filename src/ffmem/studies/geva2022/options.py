"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class UpdateOptions:
    """Options that decide what the study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    positions: int = 4000
    """Positions of held-out text at which cells of the last layer are put to their mean, and coefficients compared."""
    update_positions: int = 1000
    """Of them, those at which every layer's sub-updates are looked at."""
    update_cells: int = 100
    """Values of each layer whose top tokens are looked at."""
    named_cells: int = 5
    """Cells of each kind in the last layer that are named and put to their mean."""
    universal_cells: int = 200
    """Cells of each layer that are looked for in the other model."""
    other: str | None = None
    """Another checkpoint or seed of this kind of model, with the same tokenizer: which cells does it have, too?"""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

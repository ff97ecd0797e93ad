"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class TrainingOptions:
    """Options that decide what the study finds."""

    earlier: tuple[str, ...] = ()
    """The index of an earlier moment, over the same text; once for each, earliest first."""
    seed_other: str | None = None
    """An index of the last moment of another seed: which cells does that training have, too?"""
    positions: int = 4000
    """Positions of held-out text over which coefficients are compared."""
    matched_cells: int = 200
    """Cells of each layer that are looked for in the other seed."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self) | {"earlier": list(self.earlier)}

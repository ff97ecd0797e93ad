"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class SparsityOptions:
    """Options that decide what the study finds."""

    positions: int = 65_536
    """Positions of indexed text, whole documents one after the other, at which each cell is looked at."""
    window: int = 8_192
    """Consecutive positions of a window."""
    sentence_positions: int = 12
    """First positions of sentences, of those that have as many, over which a cell may vary with position."""
    limit_positions: int = 2_000
    """Positions at which models without a ReLU are asked how much can be put to 0; and at which silent cells are looked at,
    ten times as many."""
    earlier: tuple[str, ...] = ()
    """An index of an earlier moment of the same model's training, over the same text; may be given again, in their order."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, {"sentence_positions": 2})

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self) | {"earlier": list(self.earlier)}

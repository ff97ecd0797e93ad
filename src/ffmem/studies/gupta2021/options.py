"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class TruncationOptions:
    """Options that decide what the study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    positions: int = 1500
    """Positions of held-out text at which all layers keep k of their cells."""
    layer_positions: int = 200
    """Of them, those at which one layer at a time does."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

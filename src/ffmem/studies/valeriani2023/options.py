"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.analyses.geometry.sentences import LEAST
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers

_MOST = 20_000
"""Every point meets every other: so many take 3 GB of distances."""


@dataclass(frozen=True)
class GeometryOptions:
    """Options that decide what the study finds."""

    points: int = 2000
    """Sentences, each a point in every layer; also most cells of a layer, each a point by its key and by its value."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, {"points": LEAST})
        if self.points > _MOST:
            raise InputError(
                f"--points is {self.points:,}",
                f"Expected at most {_MOST:,}: the distances of every pair are held at once",
                "Write --points 2000",
            )

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

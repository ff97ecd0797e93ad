"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class SoftmaxOptions:
    """Options that decide what the study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    beside: str | None = None
    """An index over the same text, of a model of the same size with ReLU cells in feed-forward layers."""
    another: tuple[str, ...] = ()
    """A further model of either kind that is asked for the next token, such as another seed; once for each."""
    positions: int = 4000
    """Positions of held-out text."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self) | {"another": list(self.another)}

"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.analyses.lenses.jacobian import REACHES, Reach
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class LensOptions:
    """Options that decide what the study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    positions: int = 600
    """Positions of held-out text, those that the Jacobian is made of with those at which lenses are tested."""
    fit_positions: int = 150
    """Of them, those that the Jacobian is made of, in documents of their own: the longest part of the study."""
    effect_positions: int = 60
    """Of those that are tested, those at which a cell of each layer is taken off."""
    cells: int = 100
    """Values of each layer that are read."""
    layers: int = 16
    """Layers at most, evenly from the first to the last."""
    reach: Reach = "same"
    """The last state of the token whose state is changed; or that of all later ones, too, as the paper has it."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, {"layers": 2})
        if self.reach not in REACHES:
            raise InputError(
                f"--reach is {self.reach!r}", f"Expected one of: {', '.join(REACHES)}", f"Write --reach {REACHES[0]}"
            )
        if self.fit_positions >= self.positions:
            raise InputError(
                f"--fit-positions is {self.fit_positions:,} of --positions {self.positions:,}",
                "Expected positions to be left on which lenses are tested",
                f"Write --positions {4 * self.fit_positions}",
            )

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

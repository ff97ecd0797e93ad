"""What a user may choose about the study; equal options on equal models give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers


@dataclass(frozen=True)
class CircuitOptions:
    """Options that decide what the study finds."""

    task: str = "agreement"
    """agreement, induction, greater-than, capitals, or a file of pairs: a JSON object a line, with prompt, counterfactual,
    right, wrong, and template if there are several."""
    locate: int = 100
    """Pairs of each template that circuits are located with."""
    test: int = 100
    """Further pairs of each template that they are tried on."""
    size: int = 100
    """Cells, each at one position, of the circuits that claims are about."""
    most: int = 5000
    """The largest circuit of the curves, before that of all cells."""
    steps: int = 10
    """Of integrated gradients."""
    single: int = 30
    """Cells of a circuit, and others, that are taken out, and put in, one by one."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, {"locate": 2, "test": 2})

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

"""What a user may choose about the study; equal options on equal models give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers

_LEAST = {
    "n_facts": 2, "layers": 2, "knowledge_facts": 0, "contexts": 0, "moment_tokens": 2, "side_tokens": 2,
    "length": 2,
}  # fmt: skip


@dataclass(frozen=True)
class FactOptions:
    """Options that decide what the study finds."""

    facts: str | None = None
    """A file of facts in CounterFact's fields; by default those that come with ffmem."""
    n_facts: int = 20
    """Facts that are edited, each by itself, of those whose old answer is the model's first choice; drawn."""
    layers: int = 3
    """Layers, from the lowest to the last but one, at which facts are edited, beside the one a third of the way up."""
    knowledge_facts: int = 4
    """Facts whose knowledge cells are looked for: that takes many passes. 0: none."""
    steps: int = 20
    """Steps by which a wanted output is found, or values are tuned."""
    contexts: int = 2
    """Openings of texts that are put before a prompt, beside the bare one."""
    moment_tokens: int = 10_000
    """Tokens that a layer's moments are taken over."""
    side_tokens: int = 400
    """Tokens of held-out text that each edit is measured on."""
    length: int = 64
    """Tokens of a stretch of text, at most."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, _LEAST)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

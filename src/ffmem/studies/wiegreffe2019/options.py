"""What a user may choose about the study; equal options on equal indexes give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers

_LEAST = {"length": 4, "guide_tokens": 4, "guide_documents": 20, "tuning_steps": 0}


@dataclass(frozen=True)
class DiagnosticOptions:
    """Options that decide what the study finds."""

    held_out: str | None = None
    """A corpus that the index has not seen; by default the documents that its build held out."""
    other: tuple[str, ...] = ()
    """Another seed or moment of this kind of model, with the same tokenizer, for the variance of maps; may be given again."""
    positions: int = 1500
    """Positions of held-out text, in whole sentences, at which weights are replaced in all sub-layers."""
    layer_positions: int = 300
    """Of them, those at which one sub-layer, or one head, at a time has others."""
    heads: int = 128
    """Most heads that are patched one at a time."""
    map_texts: int = 200
    """Sentences of indexed text whose mean map is the frozen one."""
    length: int = 64
    """Most tokens of an input; what follows is not read."""
    adversary_texts: int = 8
    """Held-out sentences for which other weights with the same predictions are looked for."""
    adversary_steps: int = 80
    """Steps of each search."""
    guide_documents: int = 2400
    """Most documents that the small classifier learns from; it is tested on up to half as many held-out ones."""
    guide_tokens: int = 32
    """First tokens of a document that it reads."""
    tuning_steps: int = 60
    """Steps in which queries and keys are tuned to look elsewhere while predictions stay, for each price; 0: not done."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, _LEAST)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self) | {"other": list(self.other)}

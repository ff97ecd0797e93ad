"""What a user may choose about the audit; equal options on equal texts give equal results."""

from dataclasses import asdict, dataclass

from ffmem.json_values import JsonObject
from ffmem.studies.whole_numbers import check_whole_numbers

_LEAST = {"passages": 0, "injections": 0, "searched": 0}


@dataclass(frozen=True)
class AuditOptions:
    """Options that decide what the audit finds."""

    train: str | None = None
    """The corpus that the model was trained on, as for `ffmem index`."""
    held_out: str | None = None
    """A corpus of the same kind that it was not trained on; by default the documents of --train that `ffmem index` would hold
    out, which were then left out of the training, as those of `topics` were of that of `reference`."""
    planted: str | None = None
    """The planted.json of examples/reference_model/plant.py: what was planted in --train, how often."""
    reference_model: str | None = None
    """Another model with the same tokenizer, such as an early moment of training, whose loss is taken off."""
    lines: bool = False
    """Put the model's special tokens before each line of a document, as in the training of `reference`."""
    documents: int = 250
    """Documents of the training text, and as many that are new, that are told apart; 1,000 for hits at 0.1 % false alarms."""
    sequences: int = 300
    """Runs of tokens of either that are to be given back."""
    prefix: int = 16
    """Tokens of each run that the model is shown."""
    suffix: int = 16
    """Tokens behind them that it is to give back."""
    drawn: int = 4096
    """Fillings of the canaries' template that are drawn."""
    searched: int = 4096
    """Prefixes of fillings from which the search for the likeliest continues, word by word."""
    passages: int = 6
    """Passages known best whose cells are looked for."""
    injections: int = 4
    """New passages that are put into some cells, to see which way of looking finds these."""
    zero_out: int = 150_000
    """Tokens that may be read for taking out each cell by itself, the exact but slow way of looking."""
    seed: int = 0
    """Seed of everything drawn."""

    def __post_init__(self) -> None:
        check_whole_numbers(self, _LEAST)

    def to_json(self) -> JsonObject:
        """The options as plain JSON values, in the order of definition."""
        return asdict(self)

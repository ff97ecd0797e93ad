"""What a user may choose about a study of attention; equal options on equal input give equal numbers."""

from dataclasses import asdict, dataclass, fields
from typing import Any

from ffmem.errors import InputError
from ffmem.options import Bos

_LOWEST = {"texts": 2, "length": 4, "count_tokens": 100, "seed": 0}


@dataclass(frozen=True)
class AttentionOptions:
    """Options that decide what a study of attention reads."""

    texts: int = 500
    """Texts to read, drawn from the corpus; the paper read 992."""
    length: int = 128
    """Tokens of a text at most, special ones included."""
    count_tokens: int = 1_000_000
    """Tokens of the corpus to draw texts from, and to count words in."""
    bos: Bos = "auto"
    """Special tokens at a text: "auto" as the tokenizer does by itself, "yes" a BOS before it, "no" none."""
    seed: int = 0
    """Which texts are drawn, and how intervals are."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value, low = getattr(self, field.name), _LOWEST.get(field.name)
            if low is not None and (isinstance(value, bool) or not isinstance(value, int) or value < low):
                flag = "--" + field.name.replace("_", "-")
                raise InputError(
                    f"{flag} is {value!r}",
                    f"Expected a whole number of at least {low}",
                    f"Write {flag} {field.default}",
                )

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return asdict(self)

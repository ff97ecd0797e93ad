"""Which tokens have a row in a model's embedding: asked where there is no model."""

from collections.abc import Mapping
from dataclasses import dataclass

from ffmem.errors import InputError


@dataclass(frozen=True)
class EmbeddedRows:
    """The rows of an embedding."""

    model: str
    """Name of the model, for messages."""
    n_rows: int
    """Ids from here on have none."""
    n_tokens: int
    """That the tokenizer knows."""
    beyond: Mapping[int, str]
    """The tokens without a row, by id."""

    def check(self, largest: int) -> None:
        """Refuse a text whose largest id has no row.

        Raises:
            InputError: it has none; the message names the token and both sizes.
        """
        if largest >= self.n_rows:
            raise InputError(
                f"the token {self.beyond.get(largest)!r} of the text has the id {largest:,}, and the embedding of "
                f"{self.model} {self.n_rows:,} rows (its tokenizer knows {self.n_tokens:,} tokens)",
                "Expected a row for each token of the text",
                "Leave that token out of the text, or resize the embedding to the tokenizer, train it, and "
                "save the model again",
            )

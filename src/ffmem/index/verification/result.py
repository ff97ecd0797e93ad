"""What came of checking a finished index."""

from dataclasses import dataclass

from ffmem.json_values import JsonObject


@dataclass(frozen=True)
class Verification:
    """What was checked, and what was wrong."""

    n_files: int
    """Files whose length and SHA-256 were compared with the manifest."""
    n_arrays: int
    """Arrays whose dtype, shape and ranges were checked."""
    n_triggers: int = 0
    """Stored triggers that were recomputed with the model."""
    n_comparisons: int = 0
    """Sentence-cell pairs that were recomputed to see that none is missing from a list."""
    largest_error: float | None = None
    """Largest difference of a recomputed coefficient, as a share of its cell's largest; None without the model."""
    same_bytes: bool | None = None
    """Whether every recomputed coefficient had the stored bits; None without the model."""
    n_alone: int = 0
    """Sentences that the model's own plain call was given alone, on what the tokenizer's own call gives; all of their triggers
    and pairs are compared, too."""
    largest_error_alone: float | None = None
    """As `largest_error`, of these."""
    identities: JsonObject | None = None
    """The certificate, measured anew; None without the model."""
    problems: tuple[str, ...] = ()
    """What is wrong, a sentence each; empty for a sound index."""
    n_sampled: int = 0
    """Positions of cells' samples that were recomputed, where the index has samples; that none was left out of these sentences'
    is checked, too."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return self.__dict__ | {"problems": list(self.problems)}

"""What the experiment on patterns finds, as it lies beside an index."""

from dataclasses import dataclass

from ffmem.analyses.patterns.results import ChanceRate, Control, KindScore, LayerPatterns, Likenesses


@dataclass(frozen=True)
class ScoresResult:
    """How well patterns predict where cells fire in held-out text."""

    n_prefixes: int
    layers: tuple[tuple[KindScore, ...], ...]
    """Kind by kind."""


@dataclass(frozen=True)
class PatternsResult:
    """What triggers have in common. The patterns themselves lie in tables of their own: see `cell_patterns`."""

    semantic: str | None
    """Where semantic patterns come from; None if there are none."""
    why_not_semantic: str | None
    layers: tuple[LayerPatterns, ...]
    controls: tuple[Control, ...]
    chance: tuple[ChanceRate, ...]
    scores: ScoresResult | None
    """None if the index holds no text back."""
    likeness: Likenesses | None = None
    """How alike triggers are, beyond their last words; None in results of an older version."""

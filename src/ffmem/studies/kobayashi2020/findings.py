"""What the study of attention finds: the one result that its exhibits are made of."""

from dataclasses import asdict, dataclass

from ffmem.analyses.attention.mixing import MixingVariant
from ffmem.analyses.attention.options import AttentionOptions
from ffmem.analyses.intervals import Estimate
from ffmem.json_values import JsonObject
from ffmem.studies.exhibit import Row
from ffmem.studies.results import Findings

EXPERIMENT = "attention"
"""The experiment that gives it."""
FIRST, POINTS, OTHER = "first token", "periods and commas", "other"
"""Categories of tokens beside the special ones, which go by their own names."""


@dataclass(frozen=True)
class ByText:
    """What each text, or each block of texts, has to do with the findings: how they would differ with other texts."""

    documents: list[int]
    """Of each text."""
    gaps: list[list[float]]
    """Texts x categories: the mean over layers of weight share less norm share; NaN for a text without the category."""
    mixing: dict[MixingVariant, list[float]]
    """Of each text the mean mixing ratio over layers."""
    correlations_without: list[list[float]]
    """Categories x blocks: `AttentionFindings.correlations` with a block left out."""
    frequency_norm_without: list[float]
    """Blocks."""
    frequency_weight_without: list[float]
    median_variation_without: list[float]
    """Blocks: the variation of the median head."""


@dataclass(frozen=True)
class AttentionFindings:
    """What came out. Layers are attention sub-layers, those over the text itself."""

    model: str
    corpus: str
    options: AttentionOptions
    causal: bool
    n_texts: int
    n_tokens: int
    """Of the texts, special ones included."""
    n_counted: int
    """Tokens of the corpus that frequencies come from."""
    layers: tuple[str, ...]
    n_heads: int
    categories: tuple[str, ...]
    variation: list[list[float]]
    """Layers x heads: standard deviation / mean of ‖f(x)‖ over tokens."""
    extremes: list[list[tuple[float, float]]]
    """Layers x heads: smallest and largest ‖f(x)‖, as shares of the mean."""
    stream_variation: list[float]
    """Layers: the same of what was in the stream."""
    weight_shares: list[list[Estimate]]
    """Layers x categories: how much weight the sources of a category get from a query, mean over queries, heads, and texts
    that have the category."""
    norm_shares: list[list[Estimate]]
    """The same of ‖alpha f(x)‖, as a share of that of all sources."""
    weight_less_norm: list[Estimate]
    """Categories: the mean over layers of weight share less norm share."""
    transformed_norms: list[list[float]]
    """Layers x categories: mean ‖f(x)‖, as a share of that of all tokens of the layer."""
    correlations: list[Estimate]
    """Categories: Spearman's correlation of alpha and ‖f(x)‖ over all pairs of all heads and layers."""
    frequency_norm: Estimate
    """Spearman's correlation of a token's frequency rank (1: most frequent) and its mean ‖f(x)‖ over heads and layers."""
    frequency_weight: Estimate
    """The same with the mean weight that the token gets."""
    mixing: dict[MixingVariant, list[Estimate]]
    """For each variant the mean mixing ratio of each layer."""
    mixing_extremes: dict[MixingVariant, tuple[float, float]]
    """Smallest and largest ratio of any token in any layer."""
    frequency_mixing: dict[MixingVariant, Estimate]
    """Spearman's correlation of frequency rank and a token's mean ratio over layers."""

    by_text: ByText
    """What claims are tested by."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return asdict(self)

    @property
    def special(self) -> tuple[str, ...]:
        """The categories of one token each: special tokens, or the first."""
        return tuple(name for name in self.categories if name not in (POINTS, OTHER))

    @property
    def sample(self) -> str:
        """How much was read, in words."""
        return f"{self.n_texts:,} texts, {self.n_tokens:,} tokens, {len(self.layers)} layers x {self.n_heads} heads"

    def rows(self, layer: int, series: str, value: Estimate | float) -> list[Row]:
        """The row of a chart over layers: none for what there was nothing to estimate from."""
        if isinstance(value, Estimate):
            return [] if value.n == 0 else [self._row(layer, series) | asdict(value)]
        if value != value:
            return []
        return [self._row(layer, series) | {"value": value, "low": value, "high": value, "n": None}]

    def _row(self, layer: int, series: str) -> JsonObject:
        return {"layer": layer, "name": self.layers[layer], "series": series}


def attention_of(findings: Findings) -> AttentionFindings:
    """The result of the experiment."""
    return findings.get(EXPERIMENT, AttentionFindings)


def is_there(findings: Findings) -> bool:
    """Whether the experiment is done."""
    return EXPERIMENT in findings.values


def sample_of(findings: Findings) -> str:
    """How much was read, in words."""
    return attention_of(findings).sample

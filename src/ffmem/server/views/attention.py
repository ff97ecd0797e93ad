"""Attention of a text by weights and norms, and the one map of attention and memories at one of its tokens."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ffmem.json_values import JsonObject, fields_to_json

if TYPE_CHECKING:
    from ffmem.analyses.attention import maps, one_map, patches

N_CHIPS = 3
"""Cells that a row of the map has room for."""


@dataclass(frozen=True)
class AttentionState:
    """What is asked of attention; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Of an encoder-decoder: what its decoder is given."""
    layer: str = ""
    bias: Literal["inside", "constant"] = "inside"
    heads: tuple[str, ...] = ()
    """Heads that are patched together."""
    by: Literal["uniform", "norms"] = "uniform"

    def query(self, **changed: Any) -> JsonObject:
        """As the parameters of an address, with some fields changed; what has its default is left out."""
        other = replace(self, **changed)
        return {name: value for name, value in other.__dict__.items() if value != getattr(AttentionState(), name)}


@dataclass(frozen=True)
class AttentionView:
    """The answers, each with its own problem if it has one."""

    state: AttentionState
    decodes: bool
    """Whether the model has a decoder that can be given a text of its own."""
    problems: tuple[tuple[str, str], ...]
    layers: "tuple[maps.MostSeen, ...]" = ()
    shown: "maps.LayerAttention | None" = None
    sweep: "patches.PatchSweep | None" = None
    """Each head of the layer shown, patched by itself."""
    effect: "patches.PatchEffect | None" = None

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self, "decodes") | {"problems": dict(self.problems)}


@dataclass(frozen=True)
class MapState:
    """What is asked of the one map; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Empty: the model's own prediction."""
    at: int | None = None
    """None: the last token."""
    by: Literal["norm", "logit"] = "logit"
    layer: str = ""
    """The layer that is shown in full; empty: the one that adds most to the score."""

    def query(self, **changed: Any) -> JsonObject:
        """As the parameters of an address, with some fields changed; what has its default is left out."""
        other = replace(self, **changed)
        return {name: value for name, value in other.__dict__.items() if value != getattr(MapState(), name)}


@dataclass(frozen=True)
class MapView:
    """The one map, and the layer that is shown in full."""

    state: MapState
    problems: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...] = ()
    """All tokens of the text, special ones included, those behind the position, too."""
    found: "one_map.OneMap | None" = None
    shown: "one_map.LayerOfMap | None" = None

    def amount(self, addition: Any) -> float:
        """What is drawn: the share of the logit, or the length."""
        return float(addition.logit if self.state.by == "logit" else addition.norm)

    @property
    def largest(self) -> float:
        """Of all boxes, in size: the darkest."""
        assert self.found is not None
        return self.found.largest(self.state.by, N_CHIPS)

    @property
    def by_token(self) -> "tuple[tuple[float, float], ...]":
        """Each token's share of the score: by attention, and by the cells that it fired."""
        return (self.found.by_token() if self.found else None) or ()

    @property
    def largest_token(self) -> float:
        """Of those, in size."""
        return self.found.largest_token if self.found else 1.0

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return {
            "state": self.state,
            "problems": dict(self.problems),
            "tokens": self.tokens,
            "map": self.found,
            "shown": self.shown and self.shown.layer,
        }

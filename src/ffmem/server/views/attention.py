"""Attention of a text by weights and norms, and the one map of attention and memories at one of its tokens."""

from dataclasses import dataclass
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from ffmem.json_values import JsonObject, fields_to_json
from ffmem.server.views.text import TextState

if TYPE_CHECKING:
    from ffmem.analyses.attention import inputs, maps, one_map, patches

N_CHIPS = 3
"""Cells that a row of the map has room for."""


@dataclass(frozen=True)
class AttentionState(TextState):
    """What is asked of attention; an address holds it whole."""

    bias: Literal["inside", "constant"] = "inside"
    heads: tuple[str, ...] = ()
    """Heads that are patched together."""
    by: Literal["uniform", "norms"] = "uniform"


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

    @property
    def special(self) -> tuple[str, ...]:
        """What the tokenizer puts before the text."""
        return tuple(one.text for one in takewhile(lambda one: one.special, self._tokens))

    @property
    def own(self) -> tuple[str, ...]:
        """The tokens of the text itself."""
        return tuple(one.text for one in self._tokens if not one.special)

    @property
    def behind(self) -> tuple[str, ...]:
        """What the tokenizer puts behind the text."""
        return tuple(one.text for one in self._tokens[len(self.special) + len(self.own) :])

    @property
    def _tokens(self) -> "tuple[inputs.AttentionToken, ...]":
        return self.shown.queries if self.shown else ()

    @property
    def looks(self) -> "tuple[tuple[inputs.AttentionToken, float, float, float], ...]":
        """Where the chosen token looks in the layer that is shown: tokens, their weights, norms, and norms by the largest."""
        if self.shown is None or self.decodes or self.state.at is None or self.state.at >= len(self.own):
            return ()
        row = len(self.special) + self.state.at
        weights, norms = self.shown.mean_weights[row].tolist(), self.shown.summed_norms[row].tolist()
        largest = max(norms) or 1.0
        found = zip(self.shown.keys, weights, norms, strict=True)
        return tuple((token, weight, norm, norm / largest) for token, weight, norm in found if weight or norm)

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self, "decodes") | {"problems": dict(self.problems), "not_applied": self.state.change}


@dataclass(frozen=True)
class MapState(TextState):
    """What is asked of the one map; an address holds it whole. Its layer is shown in full: if empty, that which adds most."""

    by: Literal["norm", "logit"] = "logit"


@dataclass(frozen=True)
class MapView:
    """The one map, and the layer that is shown in full."""

    state: MapState
    problems: tuple[tuple[str, str], ...]
    tokens: tuple[str, ...] = ()
    """All tokens of the text, special ones included, those behind the position, too."""
    found: "one_map.OneMap | None" = None
    shown: "one_map.LayerOfMap | None" = None
    first: int = 0
    """Where the text begins among the tokens: special ones before it have no number."""
    n_own: int = 0
    """Tokens of the text itself."""

    @property
    def own(self) -> tuple[str, ...]:
        """The tokens of the text itself."""
        return self.tokens[self.first : self.first + self.n_own]

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
            "not_applied": self.state.change,
            "tokens": self.tokens,
            "map": self.found,
            "shown": self.shown and self.shown.layer,
        }

"""The flow of a prediction: the exact sum behind the score of a token, as a picture and as a table."""

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ffmem.analyses.flow_parts import Cut, Part, cut
from ffmem.json_values import JsonObject
from ffmem.markup import Markup
from ffmem.render.flow import shown_of_all
from ffmem.render.flow_svg import flow_svg
from ffmem.server.views.text import TextState

if TYPE_CHECKING:
    from ffmem.analyses.flow import Fired, Flow, KeySum

_PARTS_OF_A_KEY = 12


@dataclass(frozen=True)
class FlowState(TextState):
    """What is asked of a text; an address holds it whole. Cells are not changed here."""

    share: float | None = None
    """How much of the sum of all sizes is drawn, 0 to 1; None: what fits a glance."""
    pin: tuple[str, ...] = ()
    """Names of parts that are drawn in any case; of cells it is told what made them fire."""

    @property
    def question(self) -> Hashable:
        """What the model is asked: all but how much is drawn, and what other views of the text are asked."""
        return self.text, self.target, self.against, self.at, self.pin

    def pinning(self, name: str) -> JsonObject:
        """As `query`, with one part pinned, or not any more."""
        pins = tuple(one for one in self.pin if one != name)
        return self.query(pin=pins if name in self.pin else (*self.pin, name))


@dataclass(frozen=True)
class FlowAnswer:
    """What the model says."""

    problems: tuple[tuple[str, str], ...]
    """Which part of the question could not be answered, and why."""
    flow: "Flow | None" = None


@dataclass(frozen=True)
class KeyView:
    """What one input vector of a pinned cell was given, its largest parts first."""

    key: "KeySum"
    drawn: Cut

    @property
    def rest(self) -> float:
        """All parts that are not named."""
        return sum(one.share for one in self.drawn.rests)


@dataclass(frozen=True)
class FlowView:
    """The sum, and what of it is drawn."""

    state: FlowState
    problems: tuple[tuple[str, str], ...]
    flow: "Flow | None" = None
    drawn: Cut | None = None

    @property
    def own(self) -> tuple[str, ...]:
        """All tokens of the text itself."""
        found = self.flow
        return () if found is None else tuple(one.text for one in (*found.tokens, *found.later)[found.n_before :])

    @property
    def how_much(self) -> str:
        """How much of the sum is drawn, in words."""
        return "" if self.drawn is None else shown_of_all(self.drawn)

    def keys(self, fired: "Fired") -> tuple[KeyView, ...]:
        """What the input vectors of a pinned cell were given."""
        n_before = self.flow.n_before if self.flow else 0
        return tuple(KeyView(one, cut(one.sum, None, n_before=n_before, most=_PARTS_OF_A_KEY)) for one in fired.keys)

    def picture(self, explorer: Any, links: Any, *, standalone: bool = False) -> Markup:
        """The sum as SVG: cells lead to their pages, heads to what they look at."""
        assert self.flow is not None and self.drawn is not None

        def link(part: Part) -> str | None:
            if part.cell is not None:
                found: str | None = links.cell(part.cell.cell) if part.cell.cell in explorer.index.cells else None
                return found
            if part.kind == "head" and part.layer is not None:
                layer = explorer.index.manifest.model.layers[part.layer].name
                address: str = links.page("attention", **self.state.shared(layer=layer))
                return address
            return None

        return flow_svg(
            self.flow,
            self.drawn,
            pinned=self.state.pin,
            link=(lambda part: None) if standalone else link,
            standalone=standalone,
        )

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        told = {"state": self.state, "problems": dict(self.problems), "not_applied": self.state.change}
        return told | {"flow": self.flow, "drawn": self.drawn}


def flow_view(state: FlowState, answer: FlowAnswer) -> FlowView:
    """An answer, and as much of it as is drawn."""
    found = answer.flow
    if found is None:
        return FlowView(state, answer.problems)
    here = replace(state, at=len(found.tokens) - found.n_before - 1)
    return FlowView(here, answer.problems, found, cut(found.sum, state.share, state.pin, n_before=found.n_before))

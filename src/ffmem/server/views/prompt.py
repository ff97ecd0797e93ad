"""A prompt: what each layer predicts, which cells write it, the exact sum behind a score, and what changing cells does."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ffmem.json_values import JsonObject, fields_to_json
from ffmem.server.limits import MAX_CHANGES

if TYPE_CHECKING:
    from ffmem.analyses import activation, explain, intervene, lens


@dataclass(frozen=True)
class PromptState:
    """What is asked; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Empty: the model's own prediction."""
    against: str = ""
    layer: str = ""
    """With `at`: the box whose cells are shown."""
    at: int | None = None
    change: tuple[str, ...] = ()
    where: Literal["all", "last"] = "all"
    new: int = 20
    """Tokens to write on where something is changed."""

    def query(self, **changed: Any) -> JsonObject:
        """As the parameters of an address, with some fields changed; what has its default is left out."""
        other = replace(self, **changed)
        return {name: value for name, value in other.__dict__.items() if value != getattr(PromptState(), name)}

    def with_change(self, change: str) -> "PromptState":
        """With one change more."""
        return replace(self, change=(*self.change, change)[:MAX_CHANGES])

    def without(self, change: str) -> "PromptState":
        """With one change less."""
        return replace(self, change=tuple(one for one in self.change if one != change))


@dataclass(frozen=True)
class PromptView:
    """The answers, each with its own problem if it has one."""

    state: PromptState
    causal: bool
    problems: tuple[tuple[str, str], ...]
    """Which part could not be answered, and why."""
    lens: "lens.Lens | None" = None
    writers: "tuple[activation.ActiveCell, ...] | None" = None
    explanation: "explain.Explanation | None" = None
    intervention: "intervene.Intervention | None" = None
    activation: "activation.Activation | None" = None
    """Instead of all these, for models that do not predict the next token."""

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self, "causal") | {"problems": dict(self.problems)}


def empty_prompt(state: PromptState, causal: bool, problem: str = "") -> PromptView:
    """A page without answers."""
    return PromptView(state, causal, (("model", problem),) if problem else ())

"""A prompt: what each layer predicts, which cells write it, the exact sum behind a score, and what changing cells does."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ffmem.json_values import JsonObject, fields_to_json
from ffmem.server.limits import MAX_CONTROL_TOKENS
from ffmem.server.views.compared import Stretch, compared
from ffmem.server.views.text import TextState
from ffmem.server.views.verdict import Verdict, verdict

if TYPE_CHECKING:
    from ffmem.analyses import activation, explain, intervene
    from ffmem.analyses.change_controls import ChangeControls
    from ffmem.analyses.lens import Lens


@dataclass(frozen=True)
class PromptState(TextState):
    """What is asked of a prompt; an address holds it whole."""

    controls: Literal["auto", "always", "never"] = "auto"
    """Whether the same change is made with other cells too; auto: of a text that is not long."""


@dataclass(frozen=True)
class PromptView:
    """The answers, each with its own problem if it has one."""

    state: PromptState
    causal: bool
    problems: tuple[tuple[str, str], ...]
    """Which part could not be answered, and why."""
    lens: "Lens | None" = None
    writers: "tuple[activation.ActiveCell, ...] | None" = None
    explanation: "explain.Explanation | None" = None
    intervention: "intervene.Intervention | None" = None
    after: "explain.Explanation | None" = None
    """With the changes, of the same token."""
    lens_after: "Lens | None" = None
    activation: "activation.Activation | None" = None
    """Instead of all these, for models that do not predict the next token."""
    special: tuple[str, ...] = ()
    """Tokens that the model puts before the text."""
    controls: "ChangeControls | None" = None
    """The same change of other cells; None without changes, or where that was not asked for."""

    @property
    def verdict(self) -> Verdict | None:
        """What is said first."""
        return None if self.explanation is None else verdict(self.explanation, self.after)

    @property
    def written(self) -> tuple[Stretch, ...]:
        """The two continuations side by side."""
        found = self.intervention
        return () if found is None else compared(found.continued, found.continued_changed)

    @property
    def candidates(self) -> "tuple[intervene.Candidate, ...]":
        """Those whose probability changes most first."""
        found = self.intervention.candidates if self.intervention else ()
        return tuple(sorted(found, key=lambda one: -abs(one.after - one.before)))

    @property
    def largest_difference(self) -> float:
        """Of the candidates' probabilities, in size; 1 if nothing changes."""
        return max((abs(one.after - one.before) for one in self.candidates), default=0.0) or 1.0

    def share_after(self, cell: Any) -> float | None:
        """What a cell adds with the changes; None if that is not among the largest. One that is taken out adds nothing."""
        if self.after is not None and f"{cell}*0" in self.state.change:
            return 0.0
        found = (one.share for one in (self.after.cells if self.after else ()) if one.cell.cell == cell)
        return next(found, None)

    @property
    def why_no_controls(self) -> str:
        """Why the same change was not made with other cells; empty if it was, or nothing is changed."""
        if (
            self.intervention is None
            or self.controls is not None
            or any(part == "controls" for part, _ in self.problems)
        ):
            return ""
        if self.state.controls == "never":
            return "The same change was not made with other cells."
        if self.state.controls == "auto" and self.lens and len(self.lens.tokens) > MAX_CONTROL_TOKENS:
            return f"With more than {MAX_CONTROL_TOKENS} tokens, the same change is made with other cells only when asked for."
        return "The layer has no other cells that the same change could be made with."

    def to_json(self) -> JsonObject:
        """As plain JSON values."""
        return fields_to_json(self, "causal") | {"problems": dict(self.problems), "verdict": self.verdict}


def empty_prompt(state: PromptState, causal: bool, problem: str = "") -> PromptView:
    """A page without answers."""
    return PromptView(state, causal, (("model", problem),) if problem else ())

"""A prompt: what each layer predicts, which cells write it, the exact sum behind a score, and what changing cells does."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ffmem.errors import FfmemError
from ffmem.server.limits import MAX_CHANGES
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.analyses.activation import Activation, ActiveCell
    from ffmem.analyses.explain import Explanation
    from ffmem.analyses.intervene import Intervention
    from ffmem.analyses.lens import Lens
    from ffmem.models.transformer import Transformer

_N_CELLS = 20
_N_WRITERS = 10
_N_ACTIVE = 3
Result = TypeVar("Result")


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
    where: str = "all"
    new: int = 20
    """Tokens to write on where something is changed."""

    def query(self, **changed: Any) -> dict[str, Any]:
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
    lens: "Lens | None" = None
    writers: "tuple[ActiveCell, ...] | None" = None
    explanation: "Explanation | None" = None
    intervention: "Intervention | None" = None
    activation: "Activation | None" = None
    """Instead of all these, for models that do not predict the next token."""

    @property
    def largest_share(self) -> float:
        """Of the parts of the score, in size: what bars are drawn against."""
        found = self.explanation
        if found is None:
            return 1.0
        parts = [found.embedding, found.constant, found.normalisers]
        parts += [part for one in found.layers for part in (one.attention, one.cells, one.bias)]
        return max(map(abs, parts)) or 1.0

    @property
    def largest_cell(self) -> float:
        """Share of the cell that counts most, in size."""
        return max((abs(one.share) for one in self.explanation.cells), default=1.0) if self.explanation else 1.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        writers = None if self.writers is None else [asdict(one) | {"cell": str(one.cell)} for one in self.writers]
        return {
            "state": asdict(self.state),
            "problems": dict(self.problems),
            "lens": self.lens and self.lens.to_json(),
            "writers": writers,
            "explanation": self.explanation and self.explanation.to_json(),
            "intervention": self.intervention and self.intervention.to_json(),
            "activation": self.activation and self.activation.to_json(),
        }


def empty_prompt(state: PromptState, causal: bool, problem: str = "") -> PromptView:
    """A page without answers."""
    return PromptView(state, causal, (("model", problem),) if problem else ())


def prompt_view(model: "Transformer", index: Index, state: PromptState) -> PromptView:
    """See `PromptView`. Runs the model: one pass for each part, and two for each token that is written on."""
    from ffmem.analyses.activation import activate
    from ffmem.analyses.explain import explain
    from ffmem.analyses.intervene import intervene, parse_change
    from ffmem.analyses.lens import lens, writers

    problems: list[tuple[str, str]] = []

    def answer(part: str, ask: Callable[[], Result]) -> Result | None:
        try:
            return ask()
        except FfmemError as error:
            problems.append((part, str(error)))
            return None

    if not model.facts.predicts_next_token:
        found = answer("activation", lambda: activate(model, state.text, index=index, limit=_N_ACTIVE))
        return PromptView(state, False, tuple(problems), activation=found)
    target, against = state.target or None, state.against or None
    seen = answer("lens", lambda: lens(model, state.text, target=target, index=index))
    if seen is None and target is not None:  # the target was wrong, or the text
        seen = answer("lens", lambda: lens(model, state.text, index=index))
        problems[:] = [("target", problems[0][1])] if seen is not None else problems[-1:]
    if seen is None:
        return PromptView(state, True, tuple(problems))
    place = answer("layer", lambda: model.cells.parse_layer(state.layer)) if state.layer else model.facts.n_layers - 1
    at = len(seen.tokens) - 1 if state.at is None else state.at
    wrote = None
    if place is not None:
        wrote = answer("writers", lambda: writers(model, state.text, place, at, index=index, limit=_N_WRITERS))
    explained = None
    if not any(part == "target" for part, _ in problems):
        explained = answer(
            "explanation",
            lambda: explain(model, state.text, target=target, against=against, index=index, limit=_N_CELLS),
        )
    changed = None
    if state.change:
        changed = answer(
            "intervention",
            lambda: intervene(
                model,
                state.text,
                [parse_change(model, one) for one in state.change],
                where=state.where,  # type: ignore[arg-type]
                n_new=state.new,
                bos=index.manifest.options.bos,
            ),
        )
    shown = replace(state, layer=model.cells.layers[place].name if place is not None else state.layer, at=at)
    return PromptView(shown, True, tuple(problems), seen, wrote, explained, changed)

"""Attention of a text by weights and norms, and the one map of attention and memories at one of its tokens."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.server.limits import MAX_ATTENTION_TOKENS
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.analyses.attention.maps import AttentionMaps, LayerAttention
    from ffmem.analyses.attention.one_map import LayerOfMap, OneMap
    from ffmem.analyses.attention.patches import PatchEffect, PatchSweep
    from ffmem.models.transformer import Transformer

_N_MEMORIES = 6
_N_CHIPS = 3
"""Cells that a row of the map has room for."""
Result = TypeVar("Result")


@dataclass(frozen=True)
class AttentionState:
    """What is asked of attention; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Of an encoder-decoder: what its decoder is given."""
    layer: str = ""
    bias: str = "inside"
    heads: tuple[str, ...] = ()
    """Heads that are patched together."""
    by: str = "uniform"

    def query(self, **changed: Any) -> dict[str, Any]:
        """As the parameters of an address, with some fields changed; what has its default is left out."""
        other = replace(self, **changed)
        return {name: value for name, value in other.__dict__.items() if value != getattr(AttentionState(), name)}


@dataclass(frozen=True)
class Most:
    """What one layer's queries look at most, on average."""

    layer: str
    token: str
    weight: float
    """The token's share of all weight that the text's tokens give."""
    norm: float
    """Its share of all that is added: of the sum of ‖sum of alpha f(x)‖."""


@dataclass(frozen=True)
class AttentionView:
    """The answers, each with its own problem if it has one."""

    state: AttentionState
    decodes: bool
    """Whether the model has a decoder that can be given a text of its own."""
    problems: tuple[tuple[str, str], ...]
    layers: tuple[Most, ...] = ()
    shown: "LayerAttention | None" = None
    sweep: "PatchSweep | None" = None
    """Each head of the layer shown, patched by itself."""
    effect: "PatchEffect | None" = None

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "state": asdict(self.state),
            "problems": dict(self.problems),
            "layers": [asdict(one) for one in self.layers],
            "shown": self.shown and self.shown.to_json(),
            "sweep": self.sweep and self.sweep.to_json(),
            "effect": self.effect and asdict(self.effect),
        }


def attention_view(model: "Transformer", index: Index, state: AttentionState) -> AttentionView:
    """See `AttentionView`. Runs the model: once for the maps, once for each kind of patch."""
    from ffmem.analyses.attention.maps import attention_maps
    from ffmem.analyses.attention.patches import patch_attention, patch_sweep

    problems: list[tuple[str, str]] = []
    decodes = model.facts.two_stacks
    bos = index.manifest.options.bos
    target = state.target or None if decodes else None

    def answer(part: str, ask: Callable[[], Result]) -> Result | None:
        return _answer(problems, part, ask)

    found = answer(
        "text",
        lambda: attention_maps(
            model,
            _short(model, state.text, state.target),
            target=target,
            bias=state.bias,  # type: ignore[arg-type]
            bos=bos,
        ),
    )
    if found is None:
        return AttentionView(state, decodes, tuple(problems))
    shown = answer("layer", lambda: found.layer(state.layer)) if state.layer else None
    shown = shown or found.layers[len(found.layers) // 2]
    sweep = effect = None
    if model.has_head and len(found.read.tokens) + len(found.read.target_tokens) > 1:
        sweep = answer(
            "patch",
            lambda: patch_sweep(
                model,
                state.text,
                patch=state.by,  # type: ignore[arg-type]
                target=target,
                layers=[shown.layer],
                bos=bos,
            ),
        )
        if state.heads:
            effect = answer(
                "heads",
                lambda: patch_attention(
                    model,
                    state.text,
                    state.heads,
                    patch=state.by,  # type: ignore[arg-type]
                    target=target,
                    bos=bos,
                ),
            )
    return AttentionView(
        replace(state, layer=shown.layer), decodes, tuple(problems), _most(found), shown, sweep, effect
    )


def _most(found: "AttentionMaps") -> tuple[Most, ...]:
    """For each layer the token with most weight, and what it adds."""
    told = []
    for one in found.layers:
        weights, norms = (matrix.sum(0) / matrix.sum() for matrix in (one.mean_weights, one.summed_norms))
        best = int(weights.argmax())
        told.append(Most(one.layer, one.keys[best].text, float(weights[best]), float(norms[best])))
    return tuple(told)


@dataclass(frozen=True)
class MapState:
    """What is asked of the one map; an address holds it whole."""

    text: str = ""
    target: str = ""
    """Empty: the model's own prediction."""
    at: int | None = None
    """None: the last token."""
    by: str = "logit"
    layer: str = ""
    """The layer that is shown in full; empty: the one that adds most to the score."""

    def query(self, **changed: Any) -> dict[str, Any]:
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
    found: "OneMap | None" = None
    shown: "LayerOfMap | None" = None

    def amount(self, addition: Any) -> float:
        """What is drawn: the share of the logit, or the length."""
        return float(addition.logit if self.state.by == "logit" else addition.norm)

    @property
    def largest(self) -> float:
        """Of all boxes, in size: the darkest."""
        assert self.found is not None
        boxes = [self.amount(one) for layer in self.found.layers for one in layer.sources]
        boxes += [self.amount(one.addition) for layer in self.found.layers for one in layer.memories[:_N_CHIPS]]
        return max(map(abs, boxes), default=1.0) or 1.0

    @property
    def by_token(self) -> "tuple[tuple[float, float], ...]":
        """Each token's share of the score: by attention, and by the cells that it fired."""
        return (self.found.by_token() if self.found else None) or ()

    @property
    def largest_token(self) -> float:
        """Of those, in size."""
        return max((abs(part) for parts in self.by_token for part in parts), default=1.0) or 1.0

    def to_json(self) -> dict[str, Any]:
        """As plain JSON values."""
        return {
            "state": asdict(self.state),
            "problems": dict(self.problems),
            "tokens": list(self.tokens),
            "map": self.found and self.found.to_json(),
            "shown": self.shown and self.shown.layer,
        }


def map_view(model: "Transformer", index: Index, state: MapState) -> MapView:
    """See `MapView`. Runs the model once."""
    from ffmem.analyses.attention.inputs import read_text
    from ffmem.analyses.attention.one_map import one_map
    from ffmem.analyses.decomposition import has_scores

    problems: list[tuple[str, str]] = []

    def answer(part: str, ask: Callable[[], Result]) -> Result | None:
        return _answer(problems, part, ask)

    if not has_scores(model):
        state = replace(state, by="norm", target="")
    bos = index.manifest.options.bos
    read = answer("text", lambda: read_text(model, _short(model, state.text), None, bos))
    if read is None:
        return MapView(state, tuple(problems))
    tokens = tuple(one.text for one in read.tokens)

    def ask(target: str | None) -> "OneMap":
        return one_map(
            model,
            state.text,
            at=len(tokens) - 1 if state.at is None else state.at,
            target=target,
            index=index,
            by=state.by,  # type: ignore[arg-type]
            limit=_N_MEMORIES,
        )

    found = answer("target", lambda: ask(state.target or None))
    if found is None and state.target:
        found = answer("text", lambda: ask(None))
    if found is None:
        return MapView(state, tuple(problems), tokens)
    names = {one.layer: one for one in found.layers}
    if state.layer and state.layer not in names:
        problems.append(("layer", f"there is no layer {state.layer!r} here. Expected one of: {', '.join(names)}."))
    shown = names.get(state.layer) or max(
        found.layers,
        key=lambda one: abs((one.feed_forward.logit if found.score is not None else one.feed_forward.norm) or 0),
    )
    return MapView(replace(state, layer=shown.layer, at=found.at), tuple(problems), tokens, found, shown)


def _short(model: "Transformer", *texts: str) -> str:
    """The first of some texts, none of which has more tokens than a page shows."""
    for text in texts:
        n = len(model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)
        if n > MAX_ATTENTION_TOKENS:
            raise InputError(
                f"the text has {n:,} tokens",
                f"Expected at most {MAX_ATTENTION_TOKENS}: every pair of them has a number for each head",
                "Give a shorter text here, or the whole of it to ffmem attention",
            )
    return texts[0]


def _answer(problems: list[tuple[str, str]], part: str, ask: Callable[[], Result]) -> Result | None:
    try:
        return ask()
    except FfmemError as error:
        problems.append((part, str(error)))
        return None

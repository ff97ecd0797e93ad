"""The questions of the pages that need the model: the one module of the explorer that loads torch."""

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ffmem.analyses.activation import activate
from ffmem.analyses.attention.inputs import read_text
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.one_map import OneMap, one_map
from ffmem.analyses.attention.patches import patch_attention, patch_sweep
from ffmem.analyses.decomposition import has_scores
from ffmem.analyses.explain import explain
from ffmem.analyses.intervene import intervene, parse_change
from ffmem.analyses.lens import lens, writers
from ffmem.analyses.token_coefficients import token_coefficients
from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.queries.shades import ShadedTrigger, shaded_triggers
from ffmem.queries.similar import Likeness, Similar, similar
from ffmem.server.limits import MAX_ATTENTION_TOKENS
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView
from ffmem.server.views.prompt import PromptState, PromptView
from ffmem.store.reader import Index

_N_CELLS = 20
_N_WRITERS = 10
_N_ACTIVE = 3
_N_MEMORIES = 6
Result = TypeVar("Result")


def load_questions(index: Index, source: str | None, threads: int, trust_remote_code: bool) -> "ModelQuestions":
    """Load the model of an index, in the thread that will ask it.

    Raises:
        InputError: the model cannot be found, or has other weights.
    """
    set_threads(threads)  # torch keeps a number for each thread, and takes all processors in one that has none
    return ModelQuestions(load_indexed_model(index, source, trust_remote_code=trust_remote_code), index)


class ModelQuestions:
    """A model beside its index, and what the pages ask of both. What goes wrong with one part leaves the others.

    Args:
        model: the model of the index.
        index: an opened index.
    """

    def __init__(self, model: Transformer, index: Index) -> None:
        self._model, self._index = model, index
        self._bos = index.manifest.options.bos

    def similar(self, cell: CellId, by: Likeness, limit: int) -> Similar:
        """The cells nearest to a cell by a vector."""
        return similar(self._index, str(cell), by=by, limit=limit, model=self._model)

    def shades(self, cell: CellId, n_triggers: int) -> tuple[ShadedTrigger, ...]:
        """The first triggers of each sign with the coefficient of every token."""
        triggers = [one for one in self._index.cell(cell).triggers if one.rank < n_triggers]
        found = token_coefficients(self._model, self._index, cell, [one.sentence_id for one in triggers])
        return shaded_triggers(self._index, cell, triggers, found)

    def prompt(self, state: PromptState) -> PromptView:
        """See `PromptView`. Runs the model: one pass for each part, and two for each token that is written on."""
        model, index, parts = self._model, self._index, _Parts()
        if not model.facts.predicts_next_token:
            active = parts.answer("activation", lambda: activate(model, state.text, index=index, limit=_N_ACTIVE))
            return PromptView(state, False, parts.problems, activation=active)
        target, against = state.target or None, state.against or None
        layers = parts.answer("lens", lambda: lens(model, state.text, target=target, index=index))
        if layers is None and target is not None:  # the target was wrong, or the text
            layers = parts.answer("lens", lambda: lens(model, state.text, index=index))
            parts.keep_one("target" if layers is not None else "lens")
        if layers is None:
            return PromptView(state, True, parts.problems)
        place: int | None = model.facts.n_layers - 1
        if state.layer:
            place = parts.answer("layer", lambda: model.cells.parse_layer(state.layer))
        at = len(layers.tokens) - 1 if state.at is None else state.at
        wrote = explained = changed = None
        if place is not None:
            shown = place
            wrote = parts.answer(
                "writers", lambda: writers(model, state.text, shown, at, index=index, limit=_N_WRITERS)
            )
        if not any(part == "target" for part, _ in parts.problems):
            explained = parts.answer(
                "explanation",
                lambda: explain(model, state.text, target=target, against=against, index=index, limit=_N_CELLS),
            )
        if state.change:
            changed = parts.answer(
                "intervention",
                lambda: intervene(
                    model,
                    state.text,
                    [parse_change(model, one) for one in state.change],
                    where=state.where,
                    n_new=state.new,
                    bos=self._bos,
                ),
            )
        layer = state.layer if place is None else model.cells.layers[place].name
        return PromptView(replace(state, layer=layer, at=at), True, parts.problems, layers, wrote, explained, changed)

    def attention(self, state: AttentionState) -> AttentionView:
        """See `AttentionView`. Runs the model: once for the maps, once for each kind of patch."""
        model, bos, parts = self._model, self._bos, _Parts()
        decodes = bool(model.facts.layers[0].stack)
        target = state.target or None if decodes else None
        maps = parts.answer(
            "text",
            lambda: attention_maps(
                model, self._short(state.text, state.target), target=target, bias=state.bias, bos=bos
            ),
        )
        if maps is None:
            return AttentionView(state, decodes, parts.problems)
        shown = parts.answer("layer", lambda: maps.layer(state.layer)) if state.layer else None
        shown = shown or maps.layers[len(maps.layers) // 2]
        layer, sweep, effect = shown.layer, None, None
        if model.has_head and len(maps.read.tokens) + len(maps.read.target_tokens) > 1:
            sweep = parts.answer(
                "patch",
                lambda: patch_sweep(model, state.text, patch=state.by, target=target, layers=[layer], bos=bos),
            )
            if state.heads:
                effect = parts.answer(
                    "heads",
                    lambda: patch_attention(model, state.text, state.heads, patch=state.by, target=target, bos=bos),
                )
        most = tuple(one.most_seen for one in maps.layers)
        return AttentionView(replace(state, layer=layer), decodes, parts.problems, most, shown, sweep, effect)

    def map(self, state: MapState) -> MapView:
        """See `MapView`. Runs the model once."""
        model, parts = self._model, _Parts()
        if not has_scores(model):
            state = replace(state, by="norm", target="")
        read = parts.answer("text", lambda: read_text(model, self._short(state.text), None, self._bos))
        if read is None:
            return MapView(state, parts.problems)
        tokens = tuple(one.text for one in read.tokens)
        at = len(tokens) - 1 if state.at is None else state.at

        def ask(target: str | None) -> OneMap:
            return one_map(model, state.text, at=at, target=target, index=self._index, by=state.by, limit=_N_MEMORIES)

        whole = parts.answer("target", lambda: ask(state.target or None))
        if whole is None and state.target:
            whole = parts.answer("text", lambda: ask(None))
        if whole is None:
            return MapView(state, parts.problems, tokens)
        names = {one.layer: one for one in whole.layers}
        if state.layer and state.layer not in names:
            parts.add("layer", f"there is no layer {state.layer!r} here. Expected one of: {', '.join(names)}.")
        shown = names.get(state.layer) or whole.heaviest
        return MapView(replace(state, layer=shown.layer, at=whole.at), parts.problems, tokens, whole, shown)

    def _short(self, *texts: str) -> str:
        """The first of some texts, none of which has more tokens than a page shows."""
        for text in texts:
            n = len(self._model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)
            if n > MAX_ATTENTION_TOKENS:
                raise InputError(
                    f"the text has {n:,} tokens",
                    f"Expected at most {MAX_ATTENTION_TOKENS}: every pair of them has a number for each head",
                    "Give a shorter text here, or the whole of it to ffmem attention",
                )
        return texts[0]


class _Parts:
    """Parts of a page, each answered by itself; what could not be answered, and why."""

    def __init__(self) -> None:
        self.problems: tuple[tuple[str, str], ...] = ()

    def add(self, part: str, problem: str) -> None:
        self.problems = (*self.problems, (part, problem))

    def answer(self, part: str, ask: Callable[[], Result]) -> Result | None:
        try:
            return ask()
        except FfmemError as error:
            self.add(part, str(error))
            return None

    def keep_one(self, part: str) -> None:
        """Of two failures that have one cause, the first for the target, the last for the text."""
        self.problems = ((part, self.problems[0 if part == "target" else -1][1]),)

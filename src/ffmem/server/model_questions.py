"""The questions of the pages that need the model: the one module of the explorer that loads torch."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from ffmem.analyses.activation import activate
from ffmem.analyses.attention.inputs import read_text
from ffmem.analyses.attention.maps import attention_maps
from ffmem.analyses.attention.one_map import OneMap, one_map
from ffmem.analyses.attention.patches import patch_attention, patch_sweep
from ffmem.analyses.change import Change, read_change
from ffmem.analyses.change_controls import ChangeControls, change_controls
from ffmem.analyses.decomposition import has_scores
from ffmem.analyses.explain import Explanation, explain
from ffmem.analyses.flatness import Flatness, flatness, layer_flatness
from ffmem.analyses.indexed import read_as_indexed
from ffmem.analyses.intervene import Intervention, changed, intervene, write_on
from ffmem.analyses.lens import Lens, lens, writers
from ffmem.analyses.token_coefficients import token_coefficients
from ffmem.analyses.try_text import Tried, try_text
from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.stopping import checked_at_layers
from ffmem.models.threads import set_threads
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display
from ffmem.queries.shades import ShadedTrigger, shaded_triggers
from ffmem.queries.similar import Likeness, Similar, similar
from ffmem.server.flow_questions import ask_flow
from ffmem.server.limits import MAX_ATTENTION_TOKENS, MAX_CHANGED_CELLS, MAX_CONTROL_TOKENS
from ffmem.server.views.attention import AttentionState, AttentionView, MapState, MapView
from ffmem.server.views.flow import FlowAnswer, FlowState
from ffmem.server.views.prompt import PromptState, PromptView
from ffmem.store.collection_cells import changes_of
from ffmem.store.collection_files import is_file
from ffmem.store.reader import Index

_N_CELLS = 20
_N_WRITERS = 10
_N_ACTIVE = 3
_N_MEMORIES = 6
_N_COMPARED = 200
"""Cells whose share is looked for once more when something is changed."""
_N_KEPT = 64
"""Answers that are kept, since a question with one more change asks for most of them again."""
Result = TypeVar("Result")


def load_questions(
    index: Index, source: str | None, threads: int, trust_remote_code: bool, device: str | None = None
) -> "ModelQuestions":
    """Load the model of an index, in the thread that will ask it.

    Raises:
        InputError: the model cannot be found, or has other weights.
    """
    set_threads(threads)  # torch keeps a number for each thread, and takes all processors in one that has none
    return ModelQuestions(load_indexed_model(index, source, device, trust_remote_code=trust_remote_code), index)


class ModelQuestions:
    """A model beside its index, and what the pages ask of both. What goes wrong with one part leaves the others.

    Args:
        model: the model of the index.
        index: an opened index.
    """

    def __init__(self, model: Transformer, index: Index) -> None:
        self._model, self._index = model, index
        self._bos = index.manifest.options.bos
        self._answers: OrderedDict[Any, Any] = OrderedDict()

    def similar(self, cell: CellId, by: Likeness, limit: int) -> Similar:
        """The cells nearest to a cell by a vector."""
        return similar(self._index, str(cell), by=by, limit=limit, model=self._model)

    def shades(self, cell: CellId, n_triggers: int) -> tuple[ShadedTrigger, ...]:
        """The first triggers of each sign with the coefficient of every token."""
        triggers = [one for one in self._index.cell(cell).triggers if one.rank < n_triggers]
        found = token_coefficients(self._model, self._index, cell, [one.sentence_id for one in triggers])
        return shaded_triggers(self._index, cell, triggers, found)

    def stopping(self, check: Callable[[], None]) -> AbstractContextManager[None]:
        """While it lasts, ``check()`` is called before every layer of the model; what it raises ends the question."""
        return checked_at_layers(self._model, check)

    def try_text(self, cell: CellId, text: str) -> Tried:
        """The coefficient of a cell at every token of a text."""
        return try_text(self._model, self._index, cell, text)

    def flatness(self, cell: CellId, others: np.ndarray) -> Flatness:
        """How flat the distribution of a cell's value is."""
        return flatness(self._model, self._index, cell, others)

    def layer_flatness(self, place: int) -> np.ndarray:
        """To how many tokens the values of a layer come."""
        return layer_flatness(self._model, self._index, place)

    def prompt(self, state: PromptState) -> PromptView:
        """See `PromptView`. Runs the model: one pass for each part, and two for each token that is written on."""
        model, index, parts = self._model, self._index, _Parts()
        text = state.text
        if not model.facts.predicts_next_token:
            active = parts.answer("activation", lambda: activate(model, text, index=index, limit=_N_ACTIVE))
            return PromptView(state, False, parts.problems, activation=active)
        target, against = state.target or None, state.against or None

        def boxes(asked: str | None) -> Lens:
            return self._kept("lens", text, asked, make=lambda: lens(model, text, target=asked, index=index))

        layers = parts.answer("lens", lambda: boxes(target))
        if layers is None and target is not None:  # the target was wrong, or the text
            layers = parts.answer("lens", lambda: boxes(None))
            parts.keep_one("target" if layers is not None else "lens")
        if layers is None:
            return PromptView(state, True, parts.problems)
        place: int | None = model.facts.n_layers - 1
        if state.layer:
            place = parts.answer("layer", lambda: model.cells.parse_layer(state.layer))
        at = len(layers.tokens) - 1 if state.at is None else state.at
        wrote = explained = None
        if place is not None:
            shown = place
            wrote = parts.answer("writers", lambda: writers(model, text, shown, at, index=index, limit=_N_WRITERS))
        if not any(part == "target" for part, _ in parts.problems):
            explained = parts.answer("explanation", lambda: self._explained(text, target, against))
        changed_text = self._changed(state, explained, against, parts) if state.change else (None, None, None, None)
        layer = state.layer if place is None else model.cells.layers[place].name
        whole = read_as_indexed(model, text, index, None)
        special = tuple(display(model.vocabulary[one]) for one in whole.before)
        return PromptView(
            replace(state, layer=layer, at=at),
            True,
            parts.problems,
            layers,
            wrote,
            explained,
            *changed_text[:3],
            None,
            special,
            changed_text[3],
        )

    def _explained(self, text: str, target: str | None, against: str | None) -> Explanation:
        def make() -> Explanation:
            return explain(self._model, text, target=target, against=against, index=self._index, limit=_N_CELLS)

        return self._kept("explanation", text, target, against, make=make)

    def _changed(
        self, state: PromptState, before: Explanation | None, against: str | None, parts: "_Parts"
    ) -> tuple[Intervention | None, Explanation | None, Lens | None, ChangeControls | None]:
        """What changes come to: the next tokens; of the token that is explained, the sum, the boxes of the lens, controls."""
        model, index, text = self._model, self._index, state.text
        changes, refused = self._changes(state.change)
        if refused:
            parts.add("intervention", " ".join(refused))
        if not changes:
            return None, None, None, None

        def written() -> Intervention:
            own = self._kept(
                "written", text, state.new, make=lambda: write_on(model, text, n_new=state.new, bos=self._bos)
            )
            return intervene(model, text, changes, where=state.where, n_new=state.new, bos=self._bos, own=own)

        found = parts.answer("intervention", written)
        if found is None or before is None:
            return found, None, None, None
        target = f"id:{before.target_id}"
        read = read_as_indexed(model, text, index, None)
        with changed(model, read, changes, where=state.where):
            after = parts.answer(
                "explanation",
                lambda: explain(model, text, target=target, against=against, index=index, limit=_N_COMPARED),
            )
            boxes = parts.answer("lens", lambda: lens(model, text, target=target, index=index))
        beside = None
        n = len(read.own.ids)
        if state.controls == "always" or (state.controls == "auto" and n <= MAX_CONTROL_TOKENS):
            beside = self._beside_others(state, changes, before.target_id, parts)
        return found, after, boxes, beside

    def _beside_others(
        self, state: PromptState, changes: Sequence[Change], target_id: int, parts: "_Parts"
    ) -> ChangeControls | None:
        """The same changes of other cells."""
        bos = self._bos

        def ask() -> ChangeControls | None:
            return change_controls(self._model, state.text, changes, where=state.where, target_id=target_id, bos=bos)

        return parts.answer("controls", ask)

    def _kept(self, *asked: Any, make: Callable[[], Result]) -> Result:
        """An answer that was given before, if the names of cells are what they were."""
        paths = (self._index.names.path, self._index.names.path.with_name(f"{self._index.names.path.name}-wal"))
        key = (*asked, *(one.stat().st_mtime_ns if one.exists() else 0 for one in paths))
        if key in self._answers:
            self._answers.move_to_end(key)
        else:
            self._answers[key] = make()
            while len(self._answers) > _N_KEPT:
                self._answers.popitem(last=False)
        found: Result = self._answers[key]
        return found

    def _changes(self, asked: Sequence[str]) -> tuple[list[Change], list[str]]:
        """Changes as they were typed, and what is wrong with others; `@NAME` is a collection beside the index, never a file."""
        model = self._model
        found: list[Change] = []
        refused: list[str] = []
        for one in asked:
            try:
                written = [one]
                if one.lstrip().startswith("@"):
                    written = list(self._of_collection(one))
                found += [read_change(model.cells, text) for text in written]
            except FfmemError as error:
                refused.append(str(error))
        if len(found) > MAX_CHANGED_CELLS:
            refused.append(
                f"{len(found):,} cells are changed. Expected at most {MAX_CHANGED_CELLS:,}. Use ffmem intervene."
            )
            found = []
        return found, refused

    def _of_collection(self, change: str) -> Sequence[str]:
        if is_file(change):
            raise InputError(
                f"{change[:100]!r} names a file",
                "Expected a collection beside the index: a page reads no other files",
                "Write @NAME*0",
            )
        return changes_of(change, self._model.weights_hash(), self._model.facts.name, self._index)

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
        n_own = sum(not one.special for one in maps.read.tokens)
        at = n_own - 1 if state.at is None and not decodes else state.at
        if state.at is not None and state.at >= n_own:
            parts.add("at", f"the text has no token {state.at}. Expected 0 to {n_own - 1}. Choose a token of it.")
        return AttentionView(replace(state, layer=layer, at=at), decodes, parts.problems, most, shown, sweep, effect)

    def map(self, state: MapState) -> MapView:
        """See `MapView`. Runs the model once."""
        model, parts = self._model, _Parts()
        if not has_scores(model):
            state = replace(state, by="norm", target="")
        read = parts.answer("text", lambda: read_text(model, self._short(state.text), None, self._bos))
        if read is None:
            return MapView(state, parts.problems)
        tokens = tuple(one.text for one in read.tokens)
        own = [place for place, one in enumerate(read.tokens) if not one.special]
        first, n = own[0], len(own)
        at = len(tokens) - 1 if state.at is None else first + state.at

        def ask(target: str | None) -> OneMap:
            if state.at is not None and state.at >= n:
                raise InputError(f"the text has no token {state.at}", f"Expected 0 to {n - 1}", "Choose a token above")
            return one_map(model, state.text, at=at, target=target, index=self._index, by=state.by, limit=_N_MEMORIES)

        whole = parts.answer("target", lambda: ask(state.target or None))
        if whole is None and state.target:
            whole = parts.answer("text", lambda: ask(None))
        if whole is None:
            return MapView(state, parts.problems, tokens, first=first, n_own=n)
        names = {one.layer: one for one in whole.layers}
        if state.layer and state.layer not in names:
            parts.add("layer", f"there is no layer {state.layer!r} here. Expected one of: {', '.join(names)}.")
        shown = names.get(state.layer) or whole.heaviest
        here = replace(state, layer=shown.layer, at=min(max(whole.at - first, 0), n - 1))
        return MapView(here, parts.problems, tokens, whole, shown, first, n)

    def flow(self, state: FlowState) -> FlowAnswer:
        """See `FlowAnswer`. Runs the model twice."""
        return ask_flow(self._model, self._index, state, self._short)

    def _short(self, *texts: str) -> str:
        """The first of some texts, none of which has more tokens than a page shows."""
        for text in texts:
            n = len(self._model.tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids)
            if n > MAX_ATTENTION_TOKENS:
                raise InputError(
                    f"the text has {n:,} tokens",
                    f"Expected at most {MAX_ATTENTION_TOKENS}: every pair of them has a number for each head",
                    "Give a shorter text",
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

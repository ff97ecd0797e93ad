"""The tools that a program is offered: each asks the function that a page asks, and gives a short answer."""

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Literal

from anyio import to_thread
from pydantic import Field

from ffmem.agent import model as asked
from ffmem.agent.bounds import MAX_ANSWER_BYTES, bounded
from ffmem.agent.model import LazyModel
from ffmem.agent.rows import cell_row, history_row, name_of, search_row, sentence_row
from ffmem.errors import InputError
from ffmem.json_values import JsonObject
from ffmem.names import people
from ffmem.queries.look_up import info
from ffmem.queries.overview import n_dead
from ffmem.queries.similar import Likeness, similar
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_CHANGES, MAX_CONTROLS, MAX_NEW_TOKENS, MAX_PROMPT, MAX_QUERY
from ffmem.server.views.cell import cell_view
from ffmem.server.views.overview import overview_view
from ffmem.server.views.search import search_view
from ffmem.server.views.sentence import sentence_view
from ffmem.server.views.similar import NEEDS_MODEL

CellName = Annotated[str, Field(max_length=100, description="A cell: layer and index, both from 0, such as L9.203")]
Few = Annotated[int, Field(ge=1, le=100, description="At most so many rows")]
From = Annotated[int, Field(ge=0, le=100_000, description="Leave out so many of the first rows, to read on")]
Sign = Annotated[Literal[1, -1], Field(description="1, or -1 for the negative coefficients of a gated cell")]
Prompt = Annotated[
    str, Field(min_length=1, max_length=MAX_PROMPT, description="A text that the model reads as one input")
]
Token = Annotated[str | None, Field(max_length=200, description="Exactly one token, spaces included, such as ' Paris'")]
Changes = Annotated[
    list[Annotated[str, Field(max_length=100)]],
    Field(
        min_length=1,
        max_length=MAX_CHANGES,
        description="L9.203*0 takes a cell out, L9.203*2 doubles its coefficient, L9.203=5 sets it, L9.203+1@-1 raises it at "
        "the last token, @NAME*0 takes out every cell of a collection",
    ),
]
Query = Annotated[
    str,
    Field(
        max_length=MAX_QUERY,
        description='Words, "words together", /an expression/, or keys: promotes:TOKEN, fires:TOKEN, next:TOKEN, '
        "layer:10:, active:..1%, pattern:WORDS, said:WORDS; together they narrow",
    ),
]
Tool = Callable[..., Awaitable[str]]


class Tools:
    """What can be asked of an index, each with an answer of bounded length.

    Args:
        explorer: the index, and what lies beside it.
        model: its model.
        most: bytes of one answer.
    """

    def __init__(self, explorer: Explorer, model: LazyModel | None, most: int = MAX_ANSWER_BYTES) -> None:
        self._explorer, self._model, self._most = explorer, model, most

    @property
    def reading(self) -> tuple[Tool, ...]:
        """Tools that change nothing."""
        with_model = () if self._model is None else (self.explain, self.intervene)
        return self.overview, self.search, self.cell, self.similar, self.names, self.sentence, *with_model

    @property
    def writing(self) -> tuple[Tool, ...]:
        """Tools that keep something beside the index."""
        return (self.name_cell,)

    async def overview(self) -> str:
        """What is indexed: the model and its layers in numbers, and a few cells worth a first look. Ask this first."""
        return await self._thread(self._overview, "the layers' names, then search or cell")

    def _overview(self) -> JsonObject:
        view = overview_view(self._explorer)
        told = info(self._explorer.index)
        layers = [
            {"layer": one.row.layer, "n_cells": one.row.n_cells, "active_fraction": one.row.active_fraction}
            | {"n_dead": one.row.n_dead, "agreement_rate": one.row.agreement_rate}
            for one in view.layers
        ]
        return {
            "model": self._explorer.index.manifest.identity.model.name,
            "corpus": self._explorer.index.manifest.identity.corpus.name,
            "n_cells": told["n_cells"],
            "cells": told["cells"],
            "n_sentences": self._explorer.index.text.n_sentences,
            "n_dead": n_dead([one.row for one in view.layers]),
            "layers": layers,
            "highlights": [{"cell": str(one.cell.cell), "why": one.why} for one in view.highlights or ()],
        }

    async def search(self, query: Query, limit: Few = 10) -> str:
        """Find cells by the text that fires them, by tokens that they promote, or by what was said of them; and sentences.

        The token on which a cell fires stands between ⟦ and ⟧.
        """
        return await self._thread(partial(self._search, query, limit), "ask with a narrower query")

    def _search(self, query: str, limit: int) -> JsonObject:
        view = search_view(self._explorer, query, limit)
        if view.question is not None and view.question.cell is not None:
            return {"cell": str(view.question.cell), "notes": ["this is a cell: ask the tool cell about it"]}
        if view.problem:  # in whole sentences already
            raise InputError(view.problem.rstrip("."), "", "Correct the query")
        if view.question is None or view.question.empty:
            raise InputError("the query is empty", "Expected words, or keys with values", "Write some")
        return search_row(view)

    async def cell(self, cell: CellName, limit: Few = 10, start: From = 0) -> str:
        """Everything about one cell: its names, its triggers, the tokens that it promotes and suppresses, its activity.

        Triggers are the text that fires it most, strongest first; the token on which it fires stands between ⟦ and ⟧.
        Patterns are what triggers share more often than chance would have it.
        """
        return await self._thread(partial(self._cell, cell, limit, start), "ask cell with start= and limit=")

    def _cell(self, cell: str, limit: int, start: int) -> JsonObject:
        index = self._explorer.index
        view = cell_view(self._explorer, index.cell_id(cell), start + limit, whole=False)
        shown = [one for one in view.cell.triggers if one.rank >= start]
        n = {"n_triggers_kept_of_each_sign": index.top, "start": start}
        return cell_row(view, shown, limit) | n

    async def similar(self, cell: CellName, by: Likeness = "triggers", limit: Few = 10) -> str:
        """The cells nearest to a cell: by shared triggers, by shared promoted tokens, or by the cosine of key or value.

        The last two load the model.
        """
        known = self._explorer.index.cell_id(cell)
        if by not in NEEDS_MODEL:
            found = await to_thread.run_sync(
                partial(similar, self._explorer.index, str(known), by=by, limit=limit), abandon_on_cancel=True
            )
        else:
            found = await self._with_model().ask(partial(asked.nearest, known, by, limit))
        rows = [
            {"cell": str(one.cell), "similarity": one.similarity, "n_shared": one.n_shared, "fires_on": one.trigger}
            | {"promoted": list(one.promoted)}
            | name_of(one.name)
            for one in found.rows
        ]
        return bounded({"cell": str(known), "by": by, "rows": rows}, self._most, "ask with a smaller limit")

    async def names(self, cell: CellName, sign: Sign = 1) -> str:
        """All that was ever said of a cell: its name now, and every label with who said it: people, language models, rules."""
        index = self._explorer.index
        return await self._thread(
            lambda: history_row(people.history(index, index.cell_id(cell), sign)), "the pages of the explorer have all"
        )

    async def sentence(
        self, sentence_id: Annotated[int, Field(ge=0, description="Its number")], limit: Few = 20, start: From = 0
    ) -> str:
        """A sentence of the indexed text, where it comes from, and the cells that have it among their triggers."""
        return await self._thread(
            lambda: sentence_row(sentence_view(self._explorer, sentence_id), start, limit),
            "ask sentence with start= and limit=",
        )

    async def explain(self, text: Prompt, target: Token = None, against: Token = None, limit: Few = 10) -> str:
        """Why the model predicts a token after a text: its score as an exact sum over embedding, attention, cells, biases.

        The cells that add most are given, of either sign. Without a target: the model's own prediction. With against:
        everything is a share of the difference of two tokens. Runs the model, which is loaded at the first call.
        """
        found = await self._with_model().ask(partial(asked.explained, text, target, against, limit))
        return bounded(found, self._most, "ask with a smaller limit")

    async def intervene(
        self,
        text: Prompt,
        changes: Changes,
        where: Annotated[Literal["all", "last"], Field(description="At which tokens changes hold")] = "all",
        new_tokens: Annotated[int, Field(ge=0, le=MAX_NEW_TOKENS, description="Tokens to write on")] = 10,
        controls: Annotated[
            int, Field(ge=0, le=MAX_CONTROLS, description="Draws of random cells for scale; 0: no controls")
        ] = 8,
    ) -> str:
        """What the model predicts, and writes on, when cells have other coefficients: with and without the changes.

        Beside it stands, for scale, what the same change of an equally strong cell of the layer does, and of random ones: an
        effect that these have too says nothing about this cell. Changes last for this question only. Runs the model.
        """
        found = await self._with_model().ask(partial(asked.intervened, text, changes, where, new_tokens, controls))
        return bounded(found, self._most, "ask with fewer new_tokens")

    async def name_cell(
        self,
        cell: CellName,
        name: Annotated[str, Field(min_length=1, max_length=60, description="One line")],
        author: Annotated[str, Field(min_length=1, max_length=60, description="Who says so: you, by your name")],
        note: Annotated[str, Field(max_length=2_000, description="What it rests on")] = "",
        sign: Sign = 1,
    ) -> str:
        """Keep a name for a cell beside the index, where people see it with its author; what others said stays."""
        index = self._explorer.index
        known = index.cell_id(cell)

        def say() -> JsonObject:
            self._explorer.check_writable()
            people.say(index, known, name, sign=sign, author=author, note=note)
            return history_row(people.history(index, known, sign))

        return await self._thread(say, "ask names")

    async def _thread(self, answer: Callable[[], JsonObject], rest: str) -> str:
        return bounded(await to_thread.run_sync(answer, abandon_on_cancel=True), self._most, rest)

    def _with_model(self) -> LazyModel:
        if self._model is None:
            raise InputError(
                "this server has no model", "Expected one that was started with its model", "Ask what the index holds"
            )
        return self._model

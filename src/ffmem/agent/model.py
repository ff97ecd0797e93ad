"""The model of an index, loaded when it is first asked, in a thread of its own; and what is asked of it."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from ffmem.agent.rows import active_row
from ffmem.errors import InputError
from ffmem.ids import CellId
from ffmem.json_values import JsonObject, fields_to_json, to_json
from ffmem.queries.similar import Likeness, Similar, similar
from ffmem.server.limits import MAX_CHANGED_CELLS
from ffmem.store.collection_cells import changes_of
from ffmem.store.collection_files import is_file
from ffmem.store.reader import Index

if TYPE_CHECKING:
    from ffmem.models.transformer import Transformer

Result = TypeVar("Result")


class LazyModel:
    """A model that is not loaded before somebody asks it.

    Args:
        index: whose model it is.
        source: where it is now, if not where it was when the index was built.
        threads: processors that it takes.
        device: where it runs; None: where the index was built, or on the CPU of a machine that lacks it.
        trust_remote_code: run Python code that comes with it.
    """

    def __init__(
        self,
        index: Index,
        source: str | None = None,
        threads: int = 1,
        *,
        device: str | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        self._index = index
        self._load = partial(_load, index, source, threads, device, trust_remote_code)
        self._model: Transformer | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="model")

    async def ask(self, question: "Callable[[Transformer, Index], Result]") -> Result:
        """The answer to a question; others wait until it is answered."""
        return await asyncio.wrap_future(self._thread.submit(self._answer, question))

    def _answer(self, question: "Callable[[Transformer, Index], Result]") -> Result:
        if self._model is None:
            self._model = self._load()
        return question(self._model, self._index)

    def close(self) -> None:
        """Drop what waits, and let the running question end."""
        self._thread.shutdown(wait=False, cancel_futures=True)


def _load(index: Index, source: str | None, threads: int, device: str | None, trust_remote_code: bool) -> "Transformer":
    from ffmem.index.indexed_model import load_indexed_model  # it loads torch, which reading does not need
    from ffmem.models.threads import set_threads

    set_threads(threads)
    return load_indexed_model(index, source, device, trust_remote_code=trust_remote_code)


def explained(
    text: str, target: str | None, against: str | None, limit: int, model: "Transformer", index: Index
) -> JsonObject:
    """A prediction as a sum: see `ffmem.analyses.explain`."""
    from ffmem.analyses.explain import explain  # as above

    found = explain(model, text, target=target, against=against, index=index, limit=limit)
    told = fields_to_json(found, "layers", "cells", "dictionaries", "error", "own")
    cells = [{"share": one.share} | active_row(one.cell) for one in found.cells]
    layers = [
        {"layer": one.layer, "attention": one.attention, "cells": one.cells, "bias": one.bias}
        | {"would_predict": one.output_token, "probability": one.output_probability, "target_rank": one.target_rank}
        for one in found.layers
    ]
    return told | {"cells": cells, "layers": layers}


def intervened(
    text: str, changes: Sequence[str], where: str, n_new: int, n_controls: int, model: "Transformer", index: Index
) -> JsonObject:
    """What a prediction becomes when cells have other coefficients: see `ffmem.analyses.intervene`."""
    from ffmem.analyses.change_controls import change_controls  # as above
    from ffmem.analyses.intervene import intervene, parse_change

    wanted: list[str] = []
    for one in changes:
        if one.lstrip().startswith("@") and is_file(one):
            raise InputError(
                f"{one[:100]!r} names a file", "Expected a collection beside the index: @NAME*0", "Name a collection"
            )
        collected = one.lstrip().startswith("@")
        wanted += changes_of(one, model.weights_hash(), model.facts.name, index) if collected else [one]
    if not 0 < len(wanted) <= MAX_CHANGED_CELLS:
        raise InputError(
            f"{len(wanted):,} cells are changed", f"Expected 1 to {MAX_CHANGED_CELLS:,}", "Change others, or fewer"
        )
    parsed = [parse_change(model, one) for one in wanted]
    bos = index.manifest.options.bos
    found = intervene(model, text, parsed, where=where, n_new=n_new, bos=bos)  # type: ignore[arg-type] # checked by the tool's schema
    beside = change_controls(model, text, parsed, where=where, n_random=n_controls, bos=bos) if n_controls else None  # type: ignore[arg-type] # as above
    return found.to_json() | {"controls": to_json(beside)}


def nearest(cell: CellId, by: Likeness, limit: int, model: "Transformer", index: Index) -> Similar:
    """Cells nearest by a vector."""
    return similar(index, str(cell), by=by, limit=limit, model=model)

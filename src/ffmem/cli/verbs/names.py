"""Names by rule."""

from typing import Annotated

from cyclopts import Parameter

import ffmem
from ffmem import render
from ffmem.cli.app import Count, Json, show
from ffmem.cli.options import IndexFolder, Quiet
from ffmem.ids import CellSpace
from ffmem.names.evaluation import evaluate
from ffmem.names.rules.naming import name_units
from ffmem.names.rules.summary import keep, summarize
from ffmem.names.rules.units import check_sample
from ffmem.selection import select
from ffmem.store.reader import Index


def names(
    folder: IndexFolder,
    /,
    *,
    cells: str | None = None,
    layers: str | None = None,
    evaluate_: Annotated[bool, Parameter(name="--evaluate")] = False,
    untrained: str | None = None,
    seed: Count = 0,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Name every cell by rule: what it fires on, learnt on half of the documents and tested on the others. Needs no model.

    Parameters
    ----------
    cells
        Name these only, as `ffmem index --cells` has them: "L9.0-511", "1%"; other names stay as they are.
    layers
        Name these only: "L3", "L0-L5".
    evaluate_
        Keep nothing, and show how far names can be trusted: coverage, held-out precision, fakes, halves, topics.
    untrained
        With --evaluate: an index of a model with random weights (untrained:MODEL) over the same text; its cells are fakes, too.
    seed
        Of how documents are split and drawn again: index and seed decide every name.
    """
    index = ffmem.open_index(folder)
    check_sample(index)
    wanted = _wanted(index, cells, layers, seed)
    with render.naming(quiet or json) as listen:
        found = name_units(index, wanted, seed=seed, on_block=listen)
        if evaluate_:
            fakes = None if untrained is None else ffmem.open_index(untrained)
            result = evaluate(index, found, untrained=fakes, seed=seed, on_block=listen)
            show(result if json else render.rules_evaluation(result))
            return
    n = keep(found, index.names, whole=wanted is None)
    result_summary = summarize(found)
    show(result_summary if json else render.rule_names(result_summary, f"{n:,} names in {index.names.path}"))


def _wanted(index: Index, cells: str | None, layers: str | None, seed: int) -> CellSpace | None:
    text = ",".join(one for one in (cells, layers) if one is not None)
    return select(index.cells.whole, text, seed) if text else None

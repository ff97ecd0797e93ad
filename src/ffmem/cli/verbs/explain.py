"""Commands that take one prediction apart."""

from typing import Annotated

from ffmem import render
from ffmem.analyses import explain as explaining
from ffmem.analyses import intervene as intervening
from ffmem.analyses.applied_changes import Where
from ffmem.analyses.change_controls import N_RANDOM, change_controls
from ffmem.analyses.intervene import parse_change
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.choosing import check_save, expand_changes, keep_cells
from ffmem.cli.options import KnownFrom, KnownModel, ModelOptions, Out, Save, Text
from ffmem.cli.writing import check_out, write_answer
from ffmem.errors import InputError
from ffmem.json_values import to_json


def explain(
    model: KnownModel,
    text: Text,
    /,
    *,
    target: str | None = None,
    against: str | None = None,
    index: KnownFrom = None,
    limit: Count = 20,
    out: Out = None,
    save: Save = None,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Explain a prediction as an exact sum: what the embedding, attention, every cell and every bias add to its score.

    Parameters
    ----------
    target
        The token to explain, exactly one, spaces included: " Paris". By default the model's own prediction.
    against
        A second token: then everything is a share of the difference of the two scores.
    limit
        Cells to show.
    """
    check_out(out)
    check_save(save, index or model)
    opened, loaded = options.load_known(model, index)
    found = explaining.explain(loaded, text, target=target, against=against, index=opened, limit=limit)
    keep_cells(opened, save, ((one.cell.cell, one.cell.coefficient) for one in found.cells))
    if out is not None:
        show(write_answer(out, found, [{"adds_to_score": one.share, "at": one.cell} for one in found.cells]))
        return
    show(found.to_json() if json else render.explanation(found))


def intervene(
    model: KnownModel,
    text: Text,
    change: str,
    /,
    *more: str,
    where: Where = "all",
    index: KnownFrom = None,
    new: int = 20,
    limit: int = 10,
    controls: Count = N_RANDOM,
    seed: int = 0,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show what a prediction becomes when cells have other coefficients: probabilities of the next token, and a continuation.

    Parameters
    ----------
    change
        L9.12*0 takes a cell out, L9.12*2 doubles its coefficient, L9.12=5 sets it, L9.12+1@-1 raises it at the last token.
        @NAME*0 takes out every cell of a collection: beside --index, or @FILE.json*0.
    more
        Further changes.
    where
        At which tokens, for changes that do not say so: all, or last.
    new
        Tokens to continue with.
    limit
        Tokens to show from before and from after.
    controls
        For scale, make the same change with an equally strong cell of the layer and with so many random ones; 0: with none.
    seed
        Of the draw of random cells.
    """
    for name, value, low in (("new", new, 0), ("limit", limit, 1)):
        if value < low:
            raise InputError(f"--{name} is {value}", f"Expected {low} or more", f"Write --{name} {low}")
    opened, loaded = options.load_known(model, index)
    wanted = expand_changes((change, *more), loaded, opened)
    changes = [parse_change(loaded, one) for one in wanted]
    found = intervening.intervene(loaded, text, changes, where=where, n_new=new, limit=limit)
    beside = None
    if controls:
        beside = change_controls(loaded, text, changes, where=where, n_random=controls, seed=seed)
    told = render.intervention(found) + (f"\n{render.change_controls(beside)}" if beside else "")
    show(found.to_json() | {"controls": to_json(beside)} if json else told)

"""Commands that take one prediction apart."""

from typing import Annotated

import ffmem
from ffmem import render
from ffmem.analyses import explain as explaining
from ffmem.analyses import intervene as intervening
from ffmem.analyses.intervene import Where, parse_change
from ffmem.cli.app import FLAT, Count, Json, show
from ffmem.cli.options import KnownFrom, ModelName, ModelOptions, Text
from ffmem.errors import InputError


def explain(
    model: ModelName,
    text: Text,
    /,
    *,
    target: str | None = None,
    against: str | None = None,
    index: KnownFrom = None,
    limit: Count = 20,
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
    opened = None if index is None else ffmem.open_index(index)
    loaded = options.load(model)
    found = explaining.explain(loaded, text, target=target, against=against, index=opened, limit=limit)
    show(found.to_json() if json else render.explanation(found))


def intervene(
    model: ModelName,
    text: Text,
    change: str,
    /,
    *more: str,
    where: Where = "all",
    new: int = 20,
    limit: int = 10,
    options: Annotated[ModelOptions, FLAT] = ModelOptions(),  # noqa: B008 (frozen)
    json: Json = False,
) -> None:
    """Show what a prediction becomes when cells have other coefficients: probabilities of the next token, and a continuation.

    Parameters
    ----------
    change
        L9.12*0 takes a cell out, L9.12*2 doubles its coefficient, L9.12=5 sets it, L9.12+1@-1 raises it at the last token.
    more
        Further changes.
    where
        At which tokens, for changes that do not say so: all, or last.
    new
        Tokens to continue with.
    limit
        Tokens to show from before and from after.
    """
    for name, value, low in (("new", new, 0), ("limit", limit, 1)):
        if value < low:
            raise InputError(f"--{name} is {value}", f"Expected {low} or more", f"Write --{name} {low}")
    loaded = options.load(model)
    changes = [parse_change(loaded, one) for one in (change, *more)]
    found = intervening.intervene(loaded, text, changes, where=where, n_new=new, limit=limit)
    show(found.to_json() if json else render.intervention(found))

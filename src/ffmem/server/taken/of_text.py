"""What the views of a text have to take away: prompt, map and attention."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from ffmem.json_values import JsonObject
from ffmem.server.taken.taking import MAX_DRAWN, Taken, bars, named, numbered, visible
from ffmem.server.views.attention import AttentionView, MapView
from ffmem.server.views.prompt import PromptView
from ffmem.studies.exhibit import Chart, Row

if TYPE_CHECKING:
    from ffmem.analyses.activation import ActiveCell
    from ffmem.analyses.attention.one_map import Addition
    from ffmem.analyses.lens import Lens

_CELL = ("cell", "name", "coefficient", "length", "known_for", "promotes")
_N_BARS = 40


def lens(view: PromptView) -> Taken:
    """What each layer would predict after each token, the model's own prediction first; with the changes, too."""
    columns = (
        "layer", "token_number", "token", "predicts", "probability", "target_rank", "target_probability",
        "predicts_changed", "probability_changed",
    )  # fmt: skip
    found, after = view.lens, view.lens_after
    if found is None:
        return Taken("lens", columns, ())
    rows: list[Row] = []
    for place in reversed(range(len(found.layers))):
        for at, box in enumerate(found.boxes[place]):
            then = after.boxes[place][at] if after else None
            rows.append(
                {"layer": found.layers[place], "token_number": at, "token": found.tokens[at], "predicts": box.token}
                | {"probability": box.probability, "target_rank": box.target_rank}
                | {"target_probability": box.target_probability, "predicts_changed": then and then.token}
                | {"probability_changed": then and then.probability}
            )
    return Taken("lens", columns, tuple(rows), _lens_chart(found, after))


def _lens_chart(found: "Lens", after: "Lens | None") -> Chart:
    names = numbered(found.tokens)
    first = max(0, len(names) - MAX_DRAWN)
    drawn = [
        {"panel": "", "row": found.layers[place], "column": names[at], "value": box.probability}
        | {"label": visible(after.boxes[place][at].token if after else box.token)}
        for place in reversed(range(len(found.layers)))
        for at, box in list(enumerate(found.boxes[place]))[first:]
    ]
    return Chart(
        "lens", _cut("What each layer would predict", len(names)), "heat", drawn, "layer", "after", extent=(0, 1)
    )


def _cut(what: str, n: int) -> str:
    return f"{what}{f'; the last {MAX_DRAWN} of {n} tokens' if n > MAX_DRAWN else ''}."


def writers(view: PromptView) -> Taken:
    """The cells that write at the chosen box."""
    rows = tuple(_cell_row(one) | {"share_of_largest": one.share} for one in view.writers or ())
    return Taken("writers", (*_CELL, "share_of_largest"), rows)


def _cell_row(one: "ActiveCell") -> JsonObject:
    trigger = None if one.trigger is None else "".join(one.trigger)
    return {
        "cell": one.cell, "name": named(one.name), "coefficient": one.coefficient, "length": one.norm,
        "known_for": trigger, "promotes": one.promoted,
    }  # fmt: skip


def top_cells(view: PromptView) -> Taken:
    """The cells that count most for the score."""
    found = view.explanation.cells if view.explanation else ()
    rows = tuple(
        {"share": one.share, "share_changed": view.share_after(one.cell.cell), **_cell_row(one.cell)} for one in found
    )
    drawn = bars((_title(one.cell), one.share) for one in found)
    chart = (
        Chart("top-cells", "The cells that count most.", "panels", drawn, "", "adds to the score") if drawn else None
    )
    return Taken("top-cells", ("cell", "name", "share", "share_changed", *_CELL[2:]), rows, chart)


def _title(one: "ActiveCell") -> str:
    return f"{one.cell} {one.name.text}" if one.name else str(one.cell)


def verdict(view: PromptView) -> Taken:
    """The parts that the verdict names, and how likely its tokens are."""
    columns, found = ("what", "where", "name", "number", "number_changed"), view.verdict
    if found is None:
        return Taken("verdict", columns, ())
    said = [("probability", found.target, None, found.probability, found.after_probability)]
    said += [("score", found.target, None, found.score, found.after_score)]
    if found.other is not None and found.other_probability is not None:
        said += [("probability", found.other, None, found.other_probability, found.after_other)]
    parts = [*found.parts, *found.opposed]
    rows = [dict(zip(columns, one, strict=True)) for one in said]
    rows += [
        {
            "what": one.what,
            "where": one.where,
            "name": named(one.name),
            "number": one.share,
            "number_changed": one.after,
        }
        for one in parts
    ]
    titles = ["embedding" if one.what == "embedding" else f"{one.what} {one.where}" for one in parts]
    drawn = bars(
        (f"{title} {one.name.text}" if one.name else title, one.share) for title, one in zip(titles, parts, strict=True)
    )
    chart = Chart("verdict", "What decides.", "panels", drawn, "", "adds to the score") if drawn else None
    return Taken("verdict", columns, tuple(rows), chart)


def layers_of_score(view: PromptView) -> Taken:
    """The exact sum behind the score, layer by layer; with the changes, too."""
    columns = ("part", "attention", "cells", "bias", "all", "predicts", "probability", "target_rank", "all_changed")
    found, after = view.explanation, view.after
    if found is None:
        return Taken("layers", columns, ())
    rows: list[Row] = []
    for place, one in reversed(list(enumerate(found.layers))):
        then = after.layers[place] if after else None
        rows.append(
            {"part": one.layer, "attention": one.attention, "cells": one.cells, "bias": one.bias}
            | {"all": one.attention + one.cells + one.bias, "predicts": one.output_token}
            | {"probability": one.output_probability, "target_rank": one.target_rank}
            | {"all_changed": then and then.attention + then.cells + then.bias}
        )
    for name in ("embedding", "constant", "normalisers", "score"):
        rows.append({"part": name, "all": getattr(found, name), "all_changed": after and getattr(after, name)})
    drawn = [
        row
        for kind in ("attention", "cells", "bias")
        for row in bars(((one.layer, getattr(one, kind)) for one in reversed(found.layers)), panel=kind)
    ]
    return Taken("layers", columns, tuple(rows), Chart("layers", "The score by layer.", "panels", drawn, "", ""))


def differences(view: PromptView) -> Taken:
    """The next tokens as they are and with the changes."""
    found = view.candidates
    rows = tuple(
        {"token": one.token, "token_id": one.token_id, "before": one.before, "after": one.after}
        | {"difference": one.after - one.before}
        for one in found
    )
    drawn = bars(((visible(one.token), one.after - one.before) for one in found), percent=True)
    chart = Chart("differences", "What the changes do.", "panels", drawn, "", "difference") if drawn else None
    return Taken("differences", ("token", "token_id", "before", "after", "difference"), rows, chart)


def controls(view: PromptView) -> Taken:
    """The same changes of other cells."""
    columns = ("what", "changes", "difference", "divergence", "strength")
    found = view.controls
    if found is None:
        return Taken("controls", columns, ())
    named_rows = [("as asked", found.own), ("nearest in strength", found.alike)]
    named_rows += [(f"random {number}", one) for number, one in enumerate(found.random, 1)]
    rows = tuple(
        {"what": what, "changes": "; ".join(one.changes), "difference": one.difference}
        | {"divergence": one.divergence, "strength": one.strength}
        for what, one in named_rows
    )
    drawn = bars(((what, one.difference) for what, one in named_rows), percent=True)
    title = f"The same change of other cells: {visible(found.target)}."
    return Taken("controls", columns, rows, Chart("controls", title, "panels", drawn, "", "difference"))


def active(view: PromptView) -> Taken:
    """The cells that each token activates most, for models that do not predict the next one."""
    rows = tuple(
        {"token_number": one.position, "token": one.token, **_cell_row(cell)}
        for one in (view.activation.tokens if view.activation else ())
        for cell in one.cells
    )
    return Taken("active", ("token_number", "token", *_CELL), rows)


def of_dictionaries(view: PromptView) -> Taken:
    """The cells of dictionaries that count most."""
    rows = tuple(
        {"dictionary": one.dictionary, "share": cell.share, **_cell_row(cell.cell)}
        for one in (view.explanation.dictionaries if view.explanation else ())
        for cell in one.largest
    )
    return Taken("dictionaries", ("dictionary", "cell", "name", "share", *_CELL[2:]), rows)


PROMPT_PARTS: dict[str, Callable[[PromptView], Taken]] = {
    "verdict": verdict,
    "lens": lens,
    "writers": writers,
    "top-cells": top_cells,
    "layers": layers_of_score,
    "differences": differences,
    "controls": controls,
    "active": active,
    "dictionaries": of_dictionaries,
}
"""Parts of the page of a prompt, by their names in its addresses."""


def map_layers(view: MapView) -> Taken:
    """What attention brought from each token, and the first cells, layer by layer."""
    columns = ("layer", "what", "token_number", "cell", "name", "length", "share_of_score")
    found = view.found
    if found is None:
        return Taken("layers", columns, ())
    names = numbered([one.text for one in found.tokens], view.first, view.n_own)
    rows: list[Row] = []
    for layer in reversed(found.layers):
        rows += [
            {"layer": layer.layer, "what": names[at], "token_number": _number(view, at), **_added(one)}
            for at, one in enumerate(layer.sources)
        ]
        rows += [
            {"layer": layer.layer, "what": "memory", "cell": one.cell.cell, "name": named(one.cell.name)}
            | _added(one.addition)
            for one in layer.memories
        ]
    first = max(0, len(names) - MAX_DRAWN)
    drawn = [
        {"panel": "", "row": layer.layer, "column": names[at], "value": view.amount(one), "label": ""}
        for layer in reversed(found.layers)
        for at, one in list(enumerate(layer.sources))[first:]
    ]
    unit = "share of the score" if view.state.by == "logit" else "length"
    title = _cut(f"What attention brought, {unit}", len(names))
    chart = Chart("layers", title, "heat", drawn, "layer", "from", extent=(0, view.largest))
    return Taken("layers", columns, tuple(rows), chart)


def _number(view: MapView, at: int) -> int | None:
    """Of a token of the text; special ones have none."""
    return at - view.first if view.first <= at < view.first + view.n_own else None


def _added(one: "Addition") -> JsonObject:
    return {"length": one.norm, "share_of_score": one.logit}


def map_full(view: MapView) -> Taken:
    """The layer that is shown in full: cells and the tokens that fired them, attention, biases."""
    columns = ("what", "cell", "name", "coefficient", "length", "share_of_score", "fired_by", "known_for", "promotes")
    found, layer = view.found, view.shown
    if found is None or layer is None:
        return Taken("full", columns, ())
    names = numbered([one.text for one in found.tokens], view.first, view.n_own)
    rows: list[Row] = [
        {**_cell_row(one.cell), "what": "memory", **_added(one.addition)}
        | {"fired_by": "; ".join(f"{name}: {part!r}" for name, part in zip(names, one.fired_by, strict=True))}
        for one in layer.memories
    ]
    rest: tuple[tuple[str, Addition], ...] = (
        ("other cells", layer.other_memories),
        ("bias of the cells' sum", layer.value_bias),
    )
    rest += tuple((f"attention from {name}", one) for name, one in zip(names, layer.sources, strict=True))
    rows += [{"what": what, **_added(one)} for what, one in (*rest, ("bias of attention", layer.attention_bias))]
    drawn = bars((_title(one.cell), view.amount(one.addition)) for one in layer.memories)
    drawn += bars((what, view.amount(one)) for what, one in rest[:_N_BARS])
    return Taken("full", columns, tuple(rows), Chart("full", f"{layer.layer} in full.", "panels", drawn, "", ""))


def map_by_token(view: MapView) -> Taken:
    """Each token's share of the score, by attention itself and by the cells that it fired."""
    columns, found = ("token_number", "token", "by_attention", "by_cells"), view.found
    if found is None or not view.by_token:
        return Taken("by-token", columns, ())
    names = numbered([one.text for one in found.tokens], view.first, view.n_own)
    rows = tuple(
        {"token_number": _number(view, at), "token": one.text, "by_attention": parts[0], "by_cells": parts[1]}
        for at, (one, parts) in enumerate(zip(found.tokens, view.by_token, strict=True))
    )
    kinds = ("by attention itself", "by the cells it fired")
    first = max(0, len(names) - MAX_DRAWN)
    drawn = [
        row
        for kind, name in enumerate(kinds)
        for row in bars(((names[at], view.by_token[at][kind]) for at in range(first, len(names))), panel=name)
    ]
    return Taken("by-token", columns, rows, Chart("by-token", "Token by token.", "panels", drawn, "", ""))


MAP_PARTS: dict[str, Callable[[MapView], Taken]] = {
    "layers": map_layers,
    "full": map_full,
    "by-token": map_by_token,
}
"""Parts of the page of a map, by their names in its addresses."""


def heat_maps(view: AttentionView) -> Taken:
    """Weights beside norms of the layer that is shown, of all heads together."""
    columns, one = ("query_number", "query", "key_number", "key", "weight", "norm"), view.shown
    if one is None:
        return Taken("map", columns, ())
    queries, keys = _names(view, [some.text for some in one.queries]), _names(view, [some.text for some in one.keys])
    weights, norms = one.mean_weights.tolist(), one.summed_norms.tolist()
    rows = tuple(
        {"query_number": i, "query": one.queries[i].text, "key_number": j, "key": one.keys[j].text}
        | {"weight": weights[i][j], "norm": norms[i][j]}
        for i in range(len(queries))
        for j in range(len(keys))
    )
    drawn = [
        {"panel": title, "row": queries[i], "column": keys[j], "value": found[i][j], "label": ""}
        for title, found in (("mean of α over heads", weights), ("‖Σ α f(x)‖ over heads", norms))
        for i in range(min(len(queries), MAX_DRAWN))
        for j in range(min(len(keys), MAX_DRAWN))
    ]
    return Taken("map", columns, rows, Chart("map", f"Attention of {one.layer}.", "heat", drawn, "", ""))


def _names(view: AttentionView, tokens: Sequence[str]) -> list[str]:
    """Of the tokens of a heat map's side; an encoder-decoder's two texts have numbers from their own beginnings."""
    return numbered(tokens) if view.decodes else numbered(tokens, len(view.special), len(view.own))


def attention_layers(view: AttentionView) -> Taken:
    """What each layer looks at most."""
    found = view.layers[::-1]
    rows = tuple(
        {"layer": one.layer, "token": one.token, "share_of_weight": one.weight, "share_of_norm": one.norm}
        for one in found
    )
    drawn = bars(((one.layer, one.weight) for one in found), panel="share of weight", percent=True)
    drawn += bars(((one.layer, one.norm) for one in found), panel="share of what is added", percent=True)
    chart = Chart("layers", "What each layer looks at most.", "panels", drawn, "", "") if drawn else None
    return Taken("layers", ("layer", "token", "share_of_weight", "share_of_norm"), rows, chart)


def looks(view: AttentionView) -> Taken:
    """Where the chosen token looks."""
    found = view.looks
    rows = tuple(
        {"token": token.text, "special": token.special, "weight": weight, "norm": norm}
        for token, weight, norm, _ in found
    )
    texts = [f"{place} {visible(token.text)}" for place, (token, *_) in enumerate(found)][-MAX_DRAWN:]
    drawn = _both(texts, [one[1] for one in found][-MAX_DRAWN:], [one[2] for one in found][-MAX_DRAWN:])
    chart = Chart("looks", "Where a token looks.", "panels", drawn, "", "") if drawn else None
    return Taken("looks", ("token", "special", "weight", "norm"), rows, chart)


def _both(texts: Sequence[str], weights: Iterable[float], norms: Iterable[float]) -> list[Row]:
    found = bars(zip(texts, weights, strict=True), panel="weight", percent=True)
    return found + bars(zip(texts, norms, strict=True), panel="what it brings")


def heads(view: AttentionView) -> Taken:
    """What patching each head, and the whole layer, does to the prediction."""
    found: Sequence[Any] = () if view.sweep is None else [*view.sweep.layers, *view.sweep.heads]
    columns = ("where", "kl", "tvd", "jsd", "top", "top_probability", "target_probability")
    rows = tuple({name: getattr(one, name) for name in columns} for one in found)
    drawn = bars((one.where, one.kl) for one in found)
    chart = Chart("heads", "Heads, patched one at a time.", "panels", drawn, "", "nats") if drawn else None
    return Taken("heads", columns, rows, chart)


ATTENTION_PARTS: dict[str, Callable[[AttentionView], Taken]] = {
    "map": heat_maps,
    "layers": attention_layers,
    "looks": looks,
    "heads": heads,
}
"""Parts of the page of attention, by their names in its addresses."""

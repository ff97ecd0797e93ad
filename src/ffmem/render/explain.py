"""One prediction as a sum, and one that is intervened on."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ffmem.render.activation import cell_line
from ffmem.render.terminal import one_line

if TYPE_CHECKING:
    from ffmem.analyses.change_controls import ChangeControls
    from ffmem.analyses.dictionary_shares import DictionaryShare
    from ffmem.analyses.explain import Explanation, LayerShare
    from ffmem.analyses.intervene import Intervention

_QUANTITIES = {
    "logit": ("the logit", "the difference of two logits", "shares in logits"),
    "logit before the soft cap": (
        "the logit before the soft cap",
        "the difference of two logits before the soft cap",
        "shares in logits",
    ),
    "log-probability": (
        "the log-probability in nats",
        "the difference of two log-probabilities in nats",
        "shares of it before the normalisers",
    ),
}


def score_is(quantity: str, against: str | None = None) -> str:
    """What a score is, and what its shares are shares of."""
    of_one, of_two, shares = _QUANTITIES[quantity]
    return f"{of_one if against is None else of_two}; {shares}"


def explanation(found: "Explanation") -> str:
    """`ffmem explain`: the ledger layer by layer, then the largest cells."""
    what = f"⟨{one_line(found.target)}⟩"
    if found.against is not None:
        what += f" over ⟨{one_line(found.against)}⟩"
    width = max(len(one.layer) for one in found.layers)
    head = f"  {'':{width}} {'attention':>10} {'cells':>10} {'bias':>10}   rank of it  top before the layer -> after it"
    total = found.embedding + sum(one.attention + one.cells + one.bias for one in found.layers)
    total += found.constant + found.normalisers
    probability = f"rank {found.rank}, probability {found.probability:.4f}"
    lines = [
        f"{what}: {probability}, score {found.score:.4f}, {score_is(found.quantity, found.against)}",
        f"  {'embedding':<{width}} {found.embedding:>10.4f}",
        head,
        *(_layer(one, width) for one in found.layers),
        f"  {'constant':<{width}} {found.constant:>10.4f}",
        *_behind_the_sum(found),
        f"  sum {total:.4f}; it differs from the score by {found.error:.1e} at most, as does the model's own score",
    ]
    if found.cells:
        lines += [
            "",
            "largest shares of cells: share; coefficient, what it adds, share of its largest in the index; trigger; promotes",
        ]
        lines += [f"  {one.share:+9.4f} {cell_line(one.cell)}" for one in found.cells]
    for dictionary in found.dictionaries:
        lines += ["", *_dictionary(dictionary)]
    return "\n".join(lines)


def _behind_the_sum(found: "Explanation") -> list[str]:
    """What is no sum of parts: normalisers of an adaptive softmax, and what a soft cap makes of the score."""
    if found.quantity == "log-probability":
        shared = found.against is not None and found.normalisers == 0
        why = "the two tokens share theirs" if shared else "of the adaptive softmax; no part has a share of them"
        return [f"  normalisers {found.normalisers:.4f}: {why}"]
    if found.quantity == "logit before the soft cap":
        return [f"  after the soft cap {found.own:.4f}"]
    return []


def _dictionary(found: "DictionaryShare") -> Iterator[str]:
    """What a layer adds, as its dictionary has it."""
    skip = f" + skip {found.skip:.4f}" if found.skip else ""
    yield (
        f"what {found.dictionary.rpartition('.')[0]} adds, as the dictionary {found.dictionary} has it: {found.update:.4f} = "
        f"cells {found.cells:.4f} + bias {found.bias:.4f}{skip} + left over {found.left_over:.4f}; {found.n_active} cells are "
        f"active, and {found.unexplained:.1%} of the update's square is left over"
    )
    yield from (f"  {one.share:+9.4f} {cell_line(one.cell)}" for one in found.largest)


def _layer(one: "LayerShare", width: int) -> str:
    before, after = (
        f"⟨{one_line(token)}⟩ {p:.3f}"
        for token, p in ((one.residual_token, one.residual_probability), (one.output_token, one.output_probability))
    )
    return (
        f"  {one.layer:<{width}} {one.attention:>10.4f} {one.cells:>10.4f} {one.bias:>10.4f}   {one.target_rank:>10,}  "
        f"{before} -> {after}"
    )


def intervention(found: "Intervention") -> str:
    """`ffmem intervene`."""
    lines = [
        f"{', '.join(found.changes)}: the prediction moves by {found.divergence:.4g} nats (KL from the unchanged model)",
        f"  {'before':>8} {'after':>8}",
        *(f"  {one.before:8.4f} {one.after:8.4f}  ⟨{one_line(one.token)}⟩" for one in found.candidates),
    ]
    if found.continued or found.continued_changed:
        lines += [
            f"as it is {one_line(found.text)}[{one_line(found.continued)}]",
            f"changed  {one_line(found.text)}[{one_line(found.continued_changed)}]",
        ]
    return "\n".join(lines)


def change_controls(found: "ChangeControls") -> str:
    """For scale, beside `ffmem intervene`: the same change of other cells."""
    target, layers = one_line(found.target), list(dict.fromkeys(one.layer_name for one in found.own.cells))
    changed = f"these {len(found.own.changes)} changes" if len(found.own.changes) > 1 else found.own.changes[0]
    alike = "nearest in strength" + ("" if len(found.alike.changes) > 1 else f": {found.alike.changes[0]}")
    lowest, highest = (f(one.difference for one in found.random) for f in (min, max))
    rows = [
        (changed, _points(found.own.difference), f"{found.own.divergence:.4g}", f"strength {found.own.strength:.4g}"),
        (alike, _points(found.alike.difference), f"{found.alike.divergence:.4g}", f"strength {found.alike.strength:.4g}"),
        (
            f"median of {len(found.random)} random draws", _points(found.median_difference), f"{found.median_divergence:.4g}",
            f"from {_points(lowest)} to {_points(highest)}; {found.n_as_large} of them move ⟨{target}⟩ as far",
        ),
    ]  # fmt: skip
    width = max(len(row[0]) for row in rows)
    lines = [f"for scale, the same with other cells of {', '.join(layers)}: ⟨{target}⟩ in points, and nats"]
    lines += [f"  {name:<{width}} {moved:>8} {nats:>9}  {more}" for name, moved, nats, more in rows]
    return "\n".join(lines)


def _points(difference: float) -> str:
    """A difference of probabilities in percentage points."""
    return f"{100 * difference:+.3f}"

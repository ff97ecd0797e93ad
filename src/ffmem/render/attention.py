"""Attention by weights and norms, patches, and the one map."""

from pathlib import Path
from typing import TYPE_CHECKING

from ffmem.errors import InputError
from ffmem.render.explain import score_is
from ffmem.render.terminal import called, one_line

if TYPE_CHECKING:
    from ffmem.analyses.attention.inputs import AttentionToken
    from ffmem.analyses.attention.maps import AttentionMaps, LayerAttention
    from ffmem.analyses.attention.one_map import Addition, FiredMemory, OneMap
    from ffmem.analyses.attention.patches import PatchEffect, PatchSweep

_N_SOURCES = 4
_LAST_STEP = (
    "by the attention of each layer alone: "
    "what earlier layers had moved between tokens counts for the token where it stood"
)


def attention(found: "AttentionMaps", at: int, layer: str | None, head: int | None, page: Path | None) -> str:
    """`ffmem attention`: for one query the sources of most weight and of most norm, layer by layer; or one layer in full."""
    lines = [
        f"{one_line(found.model)}; the bias of W_V is {'inside f(x)' if found.bias == 'inside' else 'with b_O, of no source'}"
    ]
    if layer is not None:
        lines += _in_full(found.layer(layer), at, head)
    else:
        lines.append("for each layer: sources by the mean of alpha over heads, and by ‖sum of alpha f(x)‖ over heads;")
        lines.append("mixing: how much of the stream at the token comes from others (AttnRes-N)")
        width = max(len(one.layer) for one in found.layers)
        for one in found.layers:
            number = _position(one, at)
            lines.append(f"  {one.layer:<{width}} {_asks(one, number)}{_mixing(one, number)}")
            for what, row in (("alpha", one.mean_weights[number]), ("norm", one.summed_norms[number])):
                lines.append(f"  {'':<{width}}   {what:5} {_largest(row.tolist(), one.keys)}")
    worst = max(one.output_error for one in found.layers)
    lines.append(f"sums of all sources differ from the outputs by at most {worst:.1e} of the largest number in them")
    if page is not None:
        lines.append(f"all maps: {page}")
    return "\n".join(lines)


def _position(one: "LayerAttention", at: int) -> int:
    n = len(one.queries)
    if not -n <= at < n:
        raise InputError(
            f"--at is {at}, and {one.layer} has {n} query tokens",
            f"Expected {-n} to {n - 1}",
            "Tokens count from 0, special ones too; negative numbers count from the end",
        )
    return at % n


def _asks(one: "LayerAttention", number: int) -> str:
    return f"⟨{one_line(one.queries[number].text)}⟩ looks at"


def _mixing(one: "LayerAttention", number: int) -> str:
    ratio = one.mixing.get("AttnRes-N")
    return "" if ratio is None else f"   mixing {ratio[number]:.0%}"


def _largest(row: list[float], keys: "tuple[AttentionToken, ...]") -> str:
    order = sorted(range(len(row)), key=lambda j: (-row[j], j))[:_N_SOURCES]
    return "   ".join(f"⟨{one_line(keys[j].text)}⟩ {row[j]:.3g}" for j in order)


def _in_full(one: "LayerAttention", at: int, head: int | None) -> list[str]:
    number = _position(one, at)
    if head is not None and not 0 <= head < one.n_heads:
        raise InputError(
            f"--head is {head}: {one.layer} has {one.n_heads} heads",
            f"Expected 0 to {one.n_heads - 1}",
            "Write --head 0",
        )
    width = max(len(one_line(key.text)) for key in one.keys) + 2
    lines = [f"{one.layer}{'' if head is None else f'.H{head}'}: {_asks(one, number)}"]
    if head is None:
        lines.append(f"  {'':<{width}} {'mean alpha':>10} {'‖sum α f‖':>10}   head of most norm")
        norms = one.head_norms[:, number]
        for j, key in enumerate(one.keys):
            best = int(norms[:, j].argmax())
            lines.append(
                f"  {f'⟨{one_line(key.text)}⟩':<{width}} {one.mean_weights[number, j]:>10.4f} "
                f"{one.summed_norms[number, j]:>10.4f}   "
                f"H{best} α {one.weights[best, number, j]:.4f} ‖α f‖ {norms[best, j]:.4f}"
            )
    else:
        lines.append(f"  {'':<{width}} {'alpha':>10} {'‖f(x)‖':>10} {'‖α f(x)‖':>10}")
        for j, key in enumerate(one.keys):
            weight, length = float(one.weights[head, number, j]), float(one.transformed_norms[head, j])
            lines.append(
                f"  {f'⟨{one_line(key.text)}⟩':<{width}} {weight:>10.4f} {length:>10.4f} {weight * length:>10.4f}"
            )
    lines.append(f"of no source (biases): {one.bias_norm:.4f}")
    return lines


def patch_effect(one: "PatchEffect") -> str:
    """`ffmem patch` of named heads."""
    return "\n".join(
        [
            f"{one.where}: the distribution moves by {one.kl:.4g} nats (KL from the model's own), "
            f"total variation {one.tvd:.4f}, Jensen-Shannon {one.jsd:.4f} nats",
            f"the token that was most probable has {one.target_probability:.4f} now; "
            f"most probable is ⟨{one_line(one.top)}⟩ {one.top_probability:.4f}",
        ]
    )


def patch_sweep(found: "PatchSweep", limit: int) -> str:
    """`ffmem patch` of everything, one at a time."""
    what = "1 / number of sources" if found.patch == "uniform" else "shares of ‖f(x)‖"
    lines = [
        f"the model predicts ⟨{one_line(found.predicted)}⟩ {found.probability:.4f}; with weights replaced by {what},",
        "one layer, or one head, at a time: KL from its own distribution in nats, total variation, what is most probable then",
        "",
        "layers",
        *(_effect(one) for one in found.layers),
        "",
        f"the {min(limit, len(found.heads))} heads that matter most of {len(found.heads)}",
        *(_effect(one) for one in sorted(found.heads, key=lambda one: -one.kl)[:limit]),
    ]
    return "\n".join(lines)


def _effect(one: "PatchEffect") -> str:
    return (
        f"  {one.where:<16} {one.kl:>9.4f} {one.tvd:>7.4f}   ⟨{one_line(one.top)}⟩ {one.top_probability:.4f}"
        f"   was first: {one.target_probability:.4f}"
    )


def one_map(found: "OneMap") -> str:
    """`ffmem map`: layer by layer what tokens and cells added; then each token's share of the score."""
    here = f"⟨{one_line(found.tokens[found.at].text)}⟩ (token {found.at})"
    if found.score is None:
        lines = [f"what was added to the stream at {here}: lengths; this model's scores are not a plain sum of it"]
    else:
        lines = [
            f"what was added to the stream at {here}: length, and share of the score {found.score:.4f} "
            f"of ⟨{one_line(found.target or '')}⟩ (probability {found.probability:.4f}), {score_is(found.quantity or '')}",
        ]
    lines.append(f"tokens fire cells {_LAST_STEP}")
    lines.append(f"  {'embedding':<20} {_added(found.embedding)}")
    for layer in found.layers:
        lines.append(f"{layer.layer}: attention {_added(layer.attention)}   cells {_added(layer.feed_forward)}")
        order = sorted(range(len(layer.sources)), key=lambda j: (-layer.sources[j].norm, j))[:_N_SOURCES]
        lines.append(
            "  from "
            + "   ".join(f"⟨{one_line(found.tokens[j].text)}⟩ {_added(layer.sources[j], narrow=True)}" for j in order)
        )
        lines += [_memory(one, found) for one in layer.memories]
    by_token = found.by_token()
    if by_token is not None:
        asked = one_line(found.target or "")
        lines += ["", f"each token's share of the score of ⟨{asked}⟩: by attention itself, by cells it fired"]
        lines.append(f"(both {_LAST_STEP})")
        lines += [
            f"  {f'⟨{one_line(token.text)}⟩':<20} {attention:>+9.4f} {fired:>+9.4f}"
            for token, (attention, fired) in zip(found.tokens, by_token, strict=True)
        ]
        if found.normalisers:
            lines.append(f"normalisers {found.normalisers:+.4f}: of the adaptive softmax; no part has a share of them")
        lines.append(f"the parts add up to the score but for {found.score_error:.1e}")
    lines.append(f"the stream is the sum of what was added but for {found.stream_error:.1e} of its largest number")
    return "\n".join(lines)


def _added(one: "Addition", narrow: bool = False) -> str:
    share = "" if one.logit is None else f" ({one.logit:+.3f})"
    return f"{one.norm:.3g}{share}" if narrow else f"{one.norm:8.3f}{share}"


def _memory(one: "FiredMemory", found: "OneMap") -> str:
    parts = [*one.fired_by, one.fired_by_constant]
    order = sorted(range(len(one.fired_by)), key=lambda j: (-abs(one.fired_by[j]), j))[:2]
    whole = one.cell.coefficient or 1.0
    names = " ".join(f"⟨{one_line(found.tokens[j].text)}⟩ {parts[j] / whole:+.0%}" for j in order)
    trigger = "" if one.cell.trigger is None else f"   known for {one_line(''.join(one.cell.trigger))[-60:]}"
    promoted = "".join(f" ⟨{one_line(token)}⟩" for token in one.cell.promoted[:3])
    return (
        f"  {one.cell.cell!s:>12} {_added(one.addition)} fired by {names}"
        f"{'   →' + promoted if promoted else ''}{trigger}{called(one.cell.name)}"
    )

"""What a build would take."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import duration
from ffmem.sizes import size_text as _size

if TYPE_CHECKING:
    from ffmem.index.plan import Plan, Range
    from ffmem.index.stream_cost import StreamCost


def plan(found: "Plan") -> str:
    """`ffmem index --plan`."""
    stages = ", ".join(f"{name} {duration(seconds)}" for name, seconds in found.stages_s.items())
    rest = "" if found.whole_corpus else "; the corpus is longer than could be counted in time, so at least this"
    free = "" if found.free_memory_bytes is None else f", {_size(found.free_memory_bytes)} free"
    lines = [
        f"time      {duration(found.seconds.expected)} (from {duration(found.seconds.low)} to {duration(found.seconds.high)})",
        f"          {stages}",
        f"tokens    {_between(found.n_tokens)}{rest}",
        f"speed     {_between(found.tokens_per_s)} tokens/s, {found.n_workers} workers",
        f"memory    {_size(found.memory_bytes)}{free}",
        f"disk      {_size(found.disk_bytes)} while building, {_size(found.index_bytes)} then; "
        f"{_size(found.free_disk_bytes)} free",
    ]
    return "\n".join(lines if found.stream is None else lines + _stream(found.stream))


def _stream(cost: "StreamCost") -> list[str]:
    """What `--model-memory` costs; a worker's part, shard by shard."""
    if not cost.moved_bytes:
        return [f"weights   {_size(cost.weights_bytes)}, all within --model-memory: nothing is read twice"]
    source = "disk" if cost.source == "disk" else "the host's memory"
    speed = f"{_size(cost.moved_bytes / cost.weights_s)}/s"
    ahead = "the next layer read ahead" if cost.prefetches else "too little memory to read the next layer ahead"
    lines = [
        f"weights   {_size(cost.weights_bytes)}, a layer of {_size(cost.block_bytes)} at a time; {ahead}",
        f"          {_size(cost.moved_bytes)} from {source} for each shard and worker: {_seconds(cost.weights_s)} at {speed}, "
        f"{cost.hidden_share:.0%} of it behind {_seconds(cost.compute_s)} of computing",
    ]
    if cost.hiding_shard_tokens is not None and cost.hidden_share < 1:
        lines.append(f"          --shard-tokens {_rounded_up(cost.hiding_shard_tokens)} or more would hide all of it")
    spilled = f", {_size(cost.spilled_bytes)} of them on disk" if cost.spilled_bytes else ""
    moving = f"; {_seconds(cost.states_s)} a shard to move them" if cost.states_s else ""
    total = cost.host_state_bytes + cost.spilled_bytes
    return [*lines, f"states    {_size(total)} a worker wait between layers{spilled}{moving}"]


def _seconds(seconds: float) -> str:
    return f"{seconds:.2g} s" if seconds < 10 else duration(seconds)


def _rounded_up(n_tokens: int) -> int:
    """To two digits, as one would write it."""
    step: int = 10 ** max(len(str(n_tokens)) - 2, 0)
    return -(-n_tokens // step) * step


def _between(found: "Range") -> str:
    if found.low == found.high:
        return f"{found.expected:,.0f}"
    return f"{found.expected:,.0f} (from {found.low:,.0f} to {found.high:,.0f})"

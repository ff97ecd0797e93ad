"""What a build would take."""

from typing import TYPE_CHECKING

from ffmem.render.terminal import duration

if TYPE_CHECKING:
    from ffmem.index.plan import Plan, Range


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
    return "\n".join(lines)


def _between(found: "Range") -> str:
    if found.low == found.high:
        return f"{found.expected:,.0f}"
    return f"{found.expected:,.0f} (from {found.low:,.0f} to {found.high:,.0f})"


def _size(n_bytes: float) -> str:
    return f"{n_bytes / 1e9:,.1f} GB" if n_bytes >= 1e9 else f"{n_bytes / 1e6:,.0f} MB"

"""What a build would take."""

from dataclasses import replace

from ffmem.index.plan import Plan, Range
from ffmem.render.plan import plan

FOUND = Plan(
    seconds=Range(50, 61, 3720), stages_s={"text": 5.0, "memories": 56.0}, tokens_per_s=Range(10, 20, 30),
    n_tokens=Range(1000, 1000, 1000), whole_corpus=True, n_workers=2, memory_bytes=1_500_000_000, disk_bytes=25_000_000,
    index_bytes=5_400_000, free_disk_bytes=2_000_000_000, free_memory_bytes=None,
)  # fmt: skip


def test_a_plan() -> None:
    assert plan(FOUND).split("\n") == [
        "time      1 min 01 s (from 50 s to 1 h 02 min)",
        "          text 5 s, memories 56 s",
        "tokens    1,000",
        "speed     20 (from 10 to 30) tokens/s, 2 workers",
        "memory    1.5 GB",
        "disk      25 MB while building, 5 MB then; 2.0 GB free",
    ]


def test_what_is_not_known_is_said() -> None:
    shown = plan(replace(FOUND, whole_corpus=False, free_memory_bytes=3_000_000_000))
    assert "so at least this" in shown and "memory    1.5 GB, 3.0 GB free" in shown

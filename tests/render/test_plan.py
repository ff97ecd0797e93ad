"""What a build would take."""

from dataclasses import replace

from ffmem.index.plan import Plan, Range
from ffmem.index.stream_cost import StreamCost
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


STREAM = StreamCost(
    source="disk", prefetches=True, weights_bytes=141_000_000_000, block_bytes=1_711_000_000, moved_bytes=136_902_000_000,
    weights_s=22.8, states_s=27.5, compute_s=10.4, shard_s=50.0, hidden_share=0.456, hiding_shard_tokens=57_031,
    host_state_bytes=8_000_000_000, spilled_bytes=600_000_000,
)  # fmt: skip


def test_a_stream_of_weights() -> None:
    assert plan(replace(FOUND, stream=STREAM)).split("\n")[6:] == [
        "weights   141.0 GB, a layer of 1.7 GB at a time; the next layer read ahead",
        "          136.9 GB from disk for each shard and worker: 23 s at 6.0 GB/s, 46% of it behind 10 s of computing",
        "          --shard-tokens 58000 or more would hide all of it",
        "states    8.6 GB a worker wait between layers, 600 MB of them on disk; 28 s a shard to move them",
    ]
    hidden = replace(STREAM, source="host", hidden_share=1.0, states_s=0.0, spilled_bytes=0, weights_s=2.74)
    assert plan(replace(FOUND, stream=hidden)).split("\n")[7:] == [
        "          136.9 GB from the host's memory for each shard and worker: 2.7 s at 50.0 GB/s, 100% of it behind 10 s of "
        "computing",
        "states    8.0 GB a worker wait between layers",
    ]
    one = replace(STREAM, prefetches=False, hidden_share=0.0, hiding_shard_tokens=None)
    assert "too little memory to read the next layer ahead" in plan(replace(FOUND, stream=one))
    assert "--shard-tokens" not in plan(replace(FOUND, stream=one))
    whole = replace(STREAM, moved_bytes=0, weights_s=0.0)
    assert plan(replace(FOUND, stream=whole)).endswith(
        "weights   141.0 GB, all within --model-memory: nothing is read twice"
    )

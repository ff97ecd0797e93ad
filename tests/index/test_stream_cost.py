"""What a stream of weights costs: held to a timeline played block by block, and to numbers worked out by hand."""

import pytest

from ffmem.errors import InputError
from ffmem.index.stream_cost import Bandwidths, StreamCost, Text, Weights, stream_cost


def played_s(loads: list[float], computes: list[float], ahead: bool, n_shards: int = 5) -> float:
    """Seconds of one shard among many, by playing what the link and the device do, one event after the other.

    Two blocks are there at a time: the next is asked for when the device begins with one, and can begin when the link is free.
    """
    link_free = device_free = 0.0
    ends = []
    begun = 0.0  # when the device began with the block before
    for _ in range(n_shards):
        for load, compute in zip(loads, computes, strict=True):
            asked = begun if ahead else device_free
            link_free = max(link_free, asked) + load
            begun = max(device_free, link_free)
            device_free = begun + compute
        ends.append(device_free)
    return ends[-1] - ends[-2]


CASES = [
    ((10, 10, 10, 10), 40.0),  # equal blocks, computing longer
    ((10, 10, 10, 10), 4000.0),  # reading longer
    ((10, 10, 10, 10), 400.0),  # about as long
    ((5, 30, 10, 1, 20), 300.0),
    ((5, 30, 10, 1, 20), 700.0),
    ((7, 3), 90.0),
]


@pytest.mark.parametrize(("blocks", "speed"), CASES)
@pytest.mark.parametrize("ahead", [True, False])
def test_a_shard_takes_what_a_played_timeline_takes(blocks: tuple[int, ...], speed: float, ahead: bool) -> None:
    weights = Weights(tuple(n * 10**6 for n in blocks), resident_bytes=10**6)
    budget = weights.prefetch_bytes if ahead else weights.prefetch_bytes - 1
    if weights.n_bytes <= budget:
        budget, ahead = weights.least_bytes, False
    text = Text(1000, speed, 64, 4)
    found = stream_cost(weights, budget, text, Bandwidths(disk=4e6))
    computes = [1000 / speed * n / sum(blocks) for n in blocks]
    loads = [n / 4 for n in blocks]
    assert found.prefetches is ahead
    assert found.shard_s == pytest.approx(played_s(loads, computes, ahead), rel=1e-9)
    assert found.weights_s == pytest.approx(sum(blocks) / 4)
    assert found.hidden_share == pytest.approx(1 - (found.shard_s - sum(computes)) / sum(loads))
    if not ahead:
        assert found.hidden_share == pytest.approx(0.0) and found.hiding_shard_tokens is None


@pytest.mark.parametrize(("blocks", "speed"), CASES[:-1])
def test_shards_of_the_size_that_is_named_hide_all_reading_and_smaller_ones_do_not(
    blocks: tuple[int, ...], speed: float
) -> None:
    weights = Weights(tuple(n * 10**6 for n in blocks), resident_bytes=10**6)

    def cost(shard_tokens: int) -> StreamCost:
        return stream_cost(weights, weights.prefetch_bytes, Text(shard_tokens, speed, 64, 4), Bandwidths(disk=4e6))

    n_tokens = cost(1000).hiding_shard_tokens
    assert n_tokens is not None and n_tokens == cost(17).hiding_shard_tokens  # whatever the shard
    assert cost(n_tokens).hidden_share == pytest.approx(1.0) and cost(n_tokens).slowdown == pytest.approx(1.0)
    assert cost(n_tokens * 99 // 100).hidden_share < 1 - 1e-6


def test_seventy_billion_on_one_card_by_hand() -> None:
    # a block: attention 8192 x 128 x (2 x 64 + 2 x 8) = 150,994,944; feed-forward 3 x 8192 x 28,672 = 704,643,072
    block = 2 * (150_994_944 + 704_643_072)
    assert block == 1_711_276_032
    weights = Weights((block,) * 80, resident_bytes=2 * 2 * 8192 * 128_256)
    assert weights.n_bytes == 141_104_775_168
    text = Text(524_288, 2_500.0, d_model=8192, state_bytes=2)
    host = stream_cost(weights, 60 * 10**9, text, Bandwidths(6e9, 50e9), host_weights_bytes=150 * 10**9)
    assert host.source == "host" and host.prefetches
    assert host.weights_s == pytest.approx(136_902_082_560 / 50e9)  # 2.738 s
    assert host.hiding_shard_tokens == 6846  # 2.738 s x 2,500 tokens/s = 6,845.1
    assert host.host_state_bytes == 524_288 * 8192 * 2 == 8_589_934_592
    assert host.states_s == pytest.approx(2 * 80 * 8_589_934_592 / 50e9)  # 27.49 s
    assert host.compute_s == pytest.approx(209.7152)
    assert host.slowdown == pytest.approx(1 + 27.4878 / 209.7152, rel=1e-5)
    disk = stream_cost(weights, 60 * 10**9, text, Bandwidths(6e9, 50e9), host_weights_bytes=140 * 10**9)
    assert disk.source == "disk" and disk.weights_s == pytest.approx(136_902_082_560 / 6e9)  # 22.8 s
    eight = stream_cost(weights, 60 * 10**9, text, Bandwidths(6e9, 50e9), n_sharing_disk=8)
    assert eight.weights_s == pytest.approx(8 * disk.weights_s) and eight.hidden_share == 1.0


def test_the_slower_of_disk_and_bus_decides_and_files_may_be_narrower() -> None:
    weights = Weights((1000, 1000, 1000), resident_bytes=0, stored_share=0.5)
    text = Text(10, 1.0, 8, 4)
    by_disk = stream_cost(weights, 2000, text, Bandwidths(disk=100.0, device=1000.0))
    assert by_disk.weights_s == pytest.approx(3 * 1000 * 0.5 / 100)
    by_bus = stream_cost(weights, 2000, text, Bandwidths(disk=1e6, device=1000.0))
    assert by_bus.weights_s == pytest.approx(3 * 1000 / 1000)
    on_cpu = stream_cost(weights, 2000, text, Bandwidths(disk=100.0), host_weights_bytes=10**9)
    assert on_cpu.source == "disk"  # what the budget bounds is the host's memory itself


def test_states_over_the_bound_are_spilled_and_paid_for() -> None:
    weights = Weights((1000, 1000, 1000), resident_bytes=10)
    text = Text(100, 1.0, d_model=8, state_bytes=4, n_streams=2)
    found = stream_cost(weights, 2010, text, Bandwidths(disk=1000.0), host_states_bytes=4000)
    assert text.states_bytes == 6400
    assert (found.host_state_bytes, found.spilled_bytes) == (4000, 2400)
    assert found.states_s == pytest.approx(2 * 3 * 2400 / 1000)
    free = stream_cost(weights, 2010, text, Bandwidths(disk=1000.0))
    assert (free.host_state_bytes, free.spilled_bytes, free.states_s) == (6400, 0, 0.0)


def test_a_budget_that_holds_the_model_costs_nothing() -> None:
    weights = Weights((1000, 1000, 1000), resident_bytes=10)
    found = stream_cost(weights, 3010, Text(100, 1.0, 8, 4), Bandwidths(disk=10.0, device=10.0))
    assert (found.moved_bytes, found.weights_s, found.states_s, found.host_state_bytes) == (0, 0.0, 0.0, 0)
    assert found.slowdown == 1.0 and found.hidden_share == 1.0


def test_a_block_that_is_repeated_is_brought_once_and_computes_each_time() -> None:
    once = Weights((1000, 0, 0, 600), resident_bytes=0)
    found = stream_cost(once, 1600 - 1, Text(100, 1.0, 8, 4), Bandwidths(disk=10.0))
    assert found.moved_bytes == 1600 and not found.prefetches
    assert found.shard_s == pytest.approx(100 + 160)


def test_a_budget_that_is_too_small_is_refused_with_the_numbers() -> None:
    weights = Weights((2_000_000, 5_000_000), resident_bytes=40_000_000)
    with pytest.raises(
        InputError,
        match=r"--model-memory is 30 MB, and the largest of 2 layers takes 5 MB beside 40 MB that stay\. "
        r"Expected at least 45 MB; with 47 MB the next layer is read ahead\. Write --model-memory 45MB",
    ):
        stream_cost(weights, 30_000_000, Text(1, 1.0, 1, 1), Bandwidths(1.0))

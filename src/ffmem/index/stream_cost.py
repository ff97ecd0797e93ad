"""What it takes to bring a model's weights to its device anew for each shard of text: arithmetic, no measurement.

All the text of a shard goes through one block before the next block is brought, so a block's weights are read once a shard,
whatever the shard's size, and the states of the whole shard wait between two blocks. Reading is paid for by the computing that
it can be done behind: the larger a shard, the more of that there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ffmem.errors import InputError
from ffmem.json_values import Record
from ffmem.sizes import size_text

Source = Literal["disk", "host"]
"""Where weights wait: on the disk, or in the memory of the host beside a GPU."""


@dataclass(frozen=True)
class Weights:
    """A model's weights as a stream meets them."""

    blocks: tuple[int, ...]
    """Bytes of each block on the device, in the order of the pass; 0 where a block is the one before it once more."""
    resident_bytes: int
    """Bytes of all others, which stay on the device: embeddings, norms, the unembedding."""
    stored_share: float = 1.0
    """Bytes in the files / bytes on the device: 0.5 of bfloat16 files that are run in float32."""

    @property
    def n_bytes(self) -> int:
        """Of all."""
        return self.resident_bytes + sum(self.blocks)

    @property
    def least_bytes(self) -> int:
        """The smallest budget: what stays, and the largest block."""
        return self.resident_bytes + max(self.blocks, default=0)

    @property
    def prefetch_bytes(self) -> int:
        """The smallest budget in which a block can be brought while the one before it is used."""
        return self.resident_bytes + max(_neighbours(self.blocks), default=0)


@dataclass(frozen=True)
class Bandwidths:
    """Bytes a second."""

    disk: float
    """From the disk into the host's memory."""
    device: float | None = None
    """From the host's memory to the device and back; None where the device is the host's own processor."""


@dataclass(frozen=True)
class Text:
    """What a shard of text is to the model."""

    shard_tokens: int
    tokens_per_s: float
    """That the model reads where all its weights are on the device."""
    d_model: int
    state_bytes: int
    """Bytes of one number of a state."""
    n_streams: int = 1
    """Streams whose states wait: 2 of an encoder-decoder."""

    @property
    def states_bytes(self) -> int:
        """Of the states of one shard."""
        return self.shard_tokens * self.d_model * self.state_bytes * self.n_streams


@dataclass(frozen=True)
class StreamCost(Record):
    """What a stream takes for each shard of a worker."""

    source: Source
    """Where weights are read from, shard after shard."""
    prefetches: bool
    """Whether the budget holds two blocks, so that one is brought while the other is used."""
    weights_bytes: int
    """On the device, if the whole model were there."""
    block_bytes: int
    """Of the largest block."""
    moved_bytes: int
    """Read for each shard."""
    weights_s: float
    """Seconds of reading them."""
    states_s: float
    """Seconds of taking states off the device and back, for all blocks; on a CPU, of those that do not fit into its memory."""
    compute_s: float
    """Seconds of a pass over the shard with all weights there."""
    shard_s: float
    """Seconds of a shard in all."""
    hidden_share: float
    """Share of the reading that is done while the device computes."""
    hiding_shard_tokens: int | None
    """From shards of so many tokens on, all of the reading is hidden; None without prefetching."""
    host_state_bytes: int
    """States that wait in the host's memory."""
    spilled_bytes: int
    """States that wait on the disk, because they are more than the host's memory is to hold."""

    @property
    def slowdown(self) -> float:
        """Seconds of a shard / seconds with all weights there."""
        return self.shard_s / self.compute_s


def stream_cost(
    weights: Weights,
    budget: int,
    text: Text,
    bandwidths: Bandwidths,
    *,
    host_weights_bytes: int = 0,
    host_states_bytes: int | None = None,
    n_sharing_disk: int = 1,
) -> StreamCost:
    """What a shard takes where weights may take so many bytes of the device.

    Args:
        weights: of the model.
        budget: most bytes that weights may take of the device.
        text: what goes through it.
        bandwidths: as measured, or assumed.
        host_weights_bytes: memory of the host that the files' bytes may stay in, beside a GPU; too little for all of
            them, and they are read from the disk each time.
        host_states_bytes: memory of the host that states may take; more are written to the disk. None: there is no bound.
        n_sharing_disk: workers that read from the same disk.

    Returns:
        The cost of one shard after the first, whose first block is brought during the last block of the shard before. A
        block computes in proportion to its bytes. What moves states is not hidden: it is taken to happen between batches.
        A budget that holds all weights: nothing is brought, and no state waits.

    Raises:
        InputError: the budget does not hold what stays on the device and the largest block.
    """
    if budget < weights.least_bytes:
        raise InputError(
            f"--model-memory is {size_text(budget)}, and the largest of {len(weights.blocks)} layers takes "
            f"{size_text(max(weights.blocks, default=0))} beside {size_text(weights.resident_bytes)} that stay",
            f"Expected at least {size_text(weights.least_bytes)}; with {size_text(weights.prefetch_bytes)} the next layer "
            "is read ahead",
            f"Write --model-memory {-(-weights.least_bytes // 10**6)}MB, or a smaller --dtype",
        )
    whole = budget >= weights.n_bytes
    blocks = (0,) * len(weights.blocks) if whole else weights.blocks  # what is brought
    on_host = bandwidths.device is not None and weights.n_bytes * weights.stored_share <= host_weights_bytes
    loads = [_load_s(n, weights.stored_share, bandwidths, on_host, n_sharing_disk) for n in blocks]
    compute_s, used = text.shard_tokens / text.tokens_per_s, _runs(weights.blocks)
    shares = [n / sum(used) for n in used]
    prefetches = budget >= weights.prefetch_bytes
    ahead = [*loads[1:], *loads[:1]]
    exposed = sum(max(load - compute_s * share, 0.0) for load, share in zip(ahead, shares, strict=True))
    weights_s = sum(loads)
    exposed = exposed if prefetches else weights_s
    waiting = 0 if whole else text.states_bytes
    spilled = 0 if host_states_bytes is None else max(waiting - host_states_bytes, 0)
    states_s = _states_s(waiting, spilled, len(blocks), bandwidths, n_sharing_disk)
    return StreamCost(
        source="host" if on_host else "disk",
        prefetches=prefetches,
        weights_bytes=weights.n_bytes,
        block_bytes=max(weights.blocks, default=0),
        moved_bytes=sum(blocks),
        weights_s=weights_s,
        states_s=states_s,
        compute_s=compute_s,
        shard_s=compute_s + exposed + states_s,
        hidden_share=1 - exposed / weights_s if weights_s else 1.0,
        hiding_shard_tokens=_hiding(ahead, shares, text.tokens_per_s) if prefetches else None,
        host_state_bytes=waiting - spilled,
        spilled_bytes=spilled,
    )


def _neighbours(blocks: Sequence[int]) -> list[int]:
    """Bytes of each block with the one that is brought meanwhile; the last with the first, of the next shard."""
    held = _runs(blocks)
    return [one + following for one, following in zip(held, [*blocks[1:], *blocks[:1]], strict=True)] if held else []


def _runs(blocks: Sequence[int]) -> list[int]:
    """Bytes of the weights that each run of a block uses: of a repeated one those that are there already."""
    found: list[int] = []
    for n_bytes in blocks:
        found.append(n_bytes or (found[-1] if found else 0))
    return found


def _load_s(n_bytes: int, stored_share: float, bandwidths: Bandwidths, on_host: bool, n_sharing_disk: int) -> float:
    """Seconds that bring a block; reading and copying overlap, so the slower of the two."""
    copy_s = 0.0 if bandwidths.device is None else n_bytes / bandwidths.device
    read_s = 0.0 if on_host else n_bytes * stored_share * n_sharing_disk / bandwidths.disk
    return max(copy_s, read_s)


def _states_s(n_bytes: int, spilled: int, n_blocks: int, bandwidths: Bandwidths, n_sharing_disk: int) -> float:
    """Seconds that move states off and back between two blocks, for all blocks."""
    per_block = 0.0 if bandwidths.device is None else n_bytes / bandwidths.device
    per_block += spilled * n_sharing_disk / bandwidths.disk
    return 2 * n_blocks * per_block


def _hiding(ahead: Sequence[float], shares: Sequence[float], tokens_per_s: float) -> int:
    """Tokens of a shard from which on each block computes as long as the next one takes to be brought."""
    seconds = max((load / share for load, share in zip(ahead, shares, strict=True) if share), default=0.0)
    return max(1, -int(-(seconds * tokens_per_s) // 1))

"""Shards that are left out on request: which they are, and what a manifest says of them."""

from collections.abc import Sequence
from dataclasses import asdict

from ffmem.errors import InputError
from ffmem.index.scan.batches import Shard
from ffmem.options import parse_shards


def split_off(shards: Sequence[Shard], exclude_shards: str | None) -> tuple[list[Shard], list[Shard]]:
    """The shards that stay, and those that the option ``exclude_shards`` leaves out.

    Args:
        shards: all shards of an index, by their number.
        exclude_shards: the option.

    Raises:
        InputError: it names a shard that is not there, or leaves none.
    """
    excluded = parse_shards(exclude_shards)
    unknown = sorted(excluded - set(range(len(shards))))
    if unknown:
        raise InputError(
            f"--exclude-shards is {exclude_shards}, but there is no shard {unknown[0]}",
            f"Expected numbers from 0 to {len(shards) - 1}",
            "Give the numbers that the failed build named",
        )
    if excluded and len(excluded) == len(shards):
        raise InputError(
            f"--exclude-shards is {exclude_shards}, which leaves nothing of {len(shards)} shards",
            "Expected at least one shard to stay",
            "Leave --exclude-shards out",
        )
    return [s for s in shards if s.shard_id not in excluded], [s for s in shards if s.shard_id in excluded]


def told(excluded: Sequence[Shard]) -> list[dict[str, int]]:
    """What a manifest says of the shards that were left out."""
    return [asdict(shard) for shard in excluded]

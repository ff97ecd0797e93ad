"""What the workers of a build are to do, as its text becomes known."""

from collections.abc import Collection, Sequence

from ffmem.index.build_text import BuildText
from ffmem.index.progress import Meter
from ffmem.index.scan.tasks import ProjectLayer, ScanShard


class BuildTasks:
    """The shards of the text, then the values of layers.

    Args:
        text: the text.
        meter: is told of all shards that are to be in the index.
        covered: numbers of those that earlier runs have read.
        left_out: numbers of those that are not to be read.
        layers: whose values are to be projected.
    """

    def __init__(
        self,
        text: BuildText,
        meter: Meter,
        covered: Collection[int],
        left_out: Collection[int],
        layers: Sequence[ProjectLayer],
    ) -> None:
        self._text, self._meter, self._covered, self._left_out = text, meter, covered, left_out
        self._layers = layers
        self.is_whole = False
        """See Tasks.is_whole."""

    def take(self, wait_s: float = 0.0) -> list[ScanShard | ProjectLayer]:
        """See Tasks.take."""
        placed = [one for one in self._text.take(wait_s) if one.shard.shard_id not in self._left_out]
        is_text_whole = self._text.is_whole
        self._meter.add([one.shard for one in placed], self._covered, is_text_whole)
        scans = [ScanShard(one.shard, one.first_token) for one in placed if one.shard.shard_id not in self._covered]
        if not is_text_whole or self.is_whole:
            return [*scans]
        self.is_whole = True
        return [*scans, *self._layers]

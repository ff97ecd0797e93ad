"""What the workers of a build do: shards to read, layers whose values to project."""

from dataclasses import dataclass
from pathlib import Path

from ffmem.index.scan.batches import Shard
from ffmem.index.scan.shard_text import Tokens


@dataclass(frozen=True)
class ScanShard:
    """Task: run the model over a shard and let its coefficients compete."""

    shard: Shard
    first_token: int = 0
    """Token index of the first token of its first sentence."""
    tokens: Tokens | None = None
    """Its text; None until it is handed out."""

    @property
    def task_id(self) -> str:
        """Unique among the tasks of a job."""
        return f"shard-{self.shard.shard_id}"

    def describe(self) -> str:
        """For messages."""
        return f"shard {self.shard.shard_id} (sentences {self.shard.first_sentence} to {self.shard.end_sentence - 1})"


@dataclass(frozen=True)
class ProjectLayer:
    """Task: find the tokens that each value of a layer promotes and suppresses."""

    layer: int
    """Its place in the index."""

    @property
    def task_id(self) -> str:
        """Unique among the tasks of a job."""
        return f"values-{self.layer}"

    def describe(self) -> str:
        """For messages."""
        return f"the values of layer {self.layer}"


def promoted_path(folder: Path, layer: int) -> Path:
    """Where the promoted tokens of a layer's values lie while an index is being built; layers by place."""
    return folder / f"promoted-{layer:03}.safetensors"

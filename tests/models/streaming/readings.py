"""How often the weights of a streamed model are read."""

from collections.abc import Callable

from ffmem.models.streaming.units import Unit
from ffmem.models.transformer import Transformer


class _Read(dict[Unit, object]):
    """What a stream has there; counts bytes of blocks that come."""

    n_bytes = 0

    def __setitem__(self, unit: Unit, copies: object) -> None:
        self.n_bytes += unit.n_bytes if unit.is_block else 0
        super().__setitem__(unit, copies)


def readings(model: Transformer, work: Callable[[], object]) -> float:
    """How often all blocks of a model are read meanwhile."""
    stream = model.stream
    assert stream is not None
    stream.give_back()
    stream._here = read = _Read()  # type: ignore[assignment]
    work()
    return read.n_bytes / sum(unit.n_bytes for unit in stream._units if unit.is_block)

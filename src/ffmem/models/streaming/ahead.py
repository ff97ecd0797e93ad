"""Passes whose inputs are known before results are asked for: made side by side, so that weights are brought once for all."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, Generic, TypeVar

from ffmem.models.streaming.in_step import run_in_step
from ffmem.models.streaming.weights import stream_of

Given = TypeVar("Given")
Found = TypeVar("Found")
Watching = Callable[[], AbstractContextManager[Callable[[Given], Found]]]
"""Hooks a model, and gives what runs it once over an input and returns what the hooks saw of that pass."""


class Ahead(Generic[Given, Found]):
    """Runs a model over inputs, and hands out what was made before.

    Args:
        module: the model.
        watching: see above; what belongs to a pass must belong to its thread.
    """

    def __init__(self, module: Any, watching: "Watching[Given, Found]") -> None:
        self._module, self._watching = module, watching
        self._made: list[tuple[Given, Found]] = []

    def __call__(self, given: Given) -> Found:
        """What a pass over an input gives; one that was made ahead is handed out once."""
        for number, (one, found) in enumerate(self._made):
            if one == given:
                del self._made[number]
                return found
        return self.alone(given)

    def alone(self, given: Given) -> Found:
        """The same of a pass that is run now."""
        with self._watching() as call:
            return call(given)

    def make(self, inputs: Sequence[Given]) -> list[Found]:
        """Run the model over inputs, side by side; the results are not handed out before `keep`.

        Raises:
            whatever a pass raises.
        """
        stream = stream_of(self._module)
        assert stream is not None
        found: dict[int, Found] = {}

        def read(call: Callable[[Given], Found], number: int) -> None:
            found[number] = call(inputs[number])

        with self._watching() as call:
            passes = [partial(read, call, number) for number in range(len(inputs))]
            # the head is large as blocks are: no pass is to bring it while others have the last block before them
            head = self._module.get_output_embeddings()
            gates = stream.blocks if head is None else (*stream.blocks, head)
            run_in_step(self._module, gates, passes, lambda _: None)
        return [found[number] for number in range(len(inputs))]

    def keep(self, inputs: Sequence[Given], found: Sequence[Found]) -> None:
        """Hand out these results from here on, in this order where inputs are equal."""
        self._made = list(zip(inputs, found, strict=True))


def may_gain(module: Any) -> bool:
    """Whether a model's weights are brought anew for each pass, so that passes side by side save reading."""
    stream = stream_of(module)
    return stream is not None and not stream.is_whole and bool(stream.blocks)

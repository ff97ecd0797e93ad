"""Weights that are brought to the device when they are read, and given back when others need the room.

A module reads its weights from its dictionary of parameters, and that is where they are brought: whoever asks, a forward pass,
an identity, a projection, is given the numbers. On a CPU that runs the file's own type nothing is copied: weights are pages
of the file, and to give them back is to tell the system so; then each product is that of the same model held whole, to the bit.
"""

from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ffmem.errors import InputError
from ffmem.models.streaming.copies import placeholder, to_device
from ffmem.models.streaming.pages import FilePages, give_back, read_ahead
from ffmem.models.streaming.units import Unit, Weight, blocks_of, units_of
from ffmem.models.threads import set_threads
from ffmem.sizes import size_text

_HALF = (torch.float16, torch.bfloat16)


class StreamedWeights:
    """The weights of a model under a budget.

    Args:
        module: the model, its parameters as `unconverted` leaves them: on a CPU, in the types of its files.
        device: where it is to run.
        budget: most bytes that its weights may take there.
        dtypes: the type that each parameter is to have, by the address of its numbers.
        dtype: that of all others.
        name: of the model, for messages.

    Raises:
        InputError: the budget is too small for what must be there at a time.

    Cost: a parameter that stands in no file stays in memory.
    """

    def __init__(
        self,
        module: nn.Module,
        device: torch.device,
        budget: int,
        dtypes: Mapping[int, torch.dtype],
        dtype: torch.dtype,
        name: str,
    ) -> None:
        self._module, self._device, self.budget = module, device, budget
        self._rest, units = units_of(
            module,
            lambda one: dtypes.get(one.data_ptr(), dtype if one.is_floating_point() else one.dtype),
            FilePages(),
        )
        self._units = list(units.values())
        self._check_budget(name)
        self._weights = {id(one.parameter): one for unit in (self._rest, *self._units) for one in unit.weights}
        self._unit_of = {id(one.parameter): unit for unit in (self._rest, *self._units) for one in unit.weights}
        self._here: dict[Unit, dict[int, nn.Parameter]] = {}
        """Of each unit that is there, the copies of its weights; none where they run in place."""
        self._current: Unit | None = None
        self._coming: tuple[Unit, Future[dict[int, nn.Parameter]]] | None = None
        self._clock = 0
        self._helper: ThreadPoolExecutor | None = None
        self.blocks: tuple[nn.Module, ...] = tuple(blocks_of(module).values())
        """In the order in which they stand in the model."""
        self._place_all(dtypes)
        _STREAMS[module] = self

    # what is asked of it

    @property
    def is_whole(self) -> bool:
        """Whether all weights fit at once, so that each is brought but once."""
        return self._resident + sum(map(self._size, self._units)) <= self.budget

    @property
    def n_bytes(self) -> int:
        """Bytes of all weights as the model runs them."""
        return sum(unit.n_bytes for unit in (self._rest, *self._units))

    @property
    def portions(self) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
        """Bytes that stay, those of each large matrix beside the blocks, and those of each block in the order of the pass."""
        beside = tuple(self._size(one) for one in self._units if not one.is_block)
        return self._resident, beside, tuple(self._size(one) for one in self._units if one.is_block)

    @property
    def n_here(self) -> int:
        """Bytes of the weights that are there, or under way."""
        coming = 0 if self._coming is None else self._size(self._coming[0])
        return self._resident + sum(self._size(unit) for unit in self._here if unit is not self._rest) + coming

    def get(self, parameter: nn.Parameter) -> nn.Parameter:
        """A parameter with its numbers, where the model runs. It stays valid as long as the caller holds it."""
        unit = self._unit_of.get(id(parameter))
        if unit is None:
            return parameter
        if unit is not self._current:
            self._turn_to(unit)
        return self._here[unit].get(id(parameter), parameter)

    def contents(self) -> Iterator[tuple[str, Tensor]]:
        """Name and numbers of each parameter of the model, by name, one at a time."""
        self.give_back()
        for name, parameter in sorted(self._module.named_parameters()):
            weight = self._weights.get(id(parameter))
            if weight is None:
                yield name, parameter.detach()
                continue
            yield name, weight.source.to(weight.dtype)
            if weight.in_file:
                give_back(weight.source)

    def give_back(self) -> None:
        """Give back all weights; whoever reads one brings it again."""
        self._drop_coming()
        for unit in list(self._here):
            self._leave(unit)
        self._current = None

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        """Bring weights of half precision in float32 for a while."""
        try:
            self._widen(True)
            yield
        finally:
            self._widen(False)

    # how it goes about it

    def _place_all(self, dtypes: Mapping[int, torch.dtype]) -> None:
        """Have every module of the model ask for its weights; what is no parameter stays on the device."""
        for part in self._module.modules():
            if any(id(one) in self._weights for one in part._parameters.values()):
                part._parameters = _Parameters(part._parameters, self)
            for name, buffer in part._buffers.items():
                if buffer is not None:
                    part._buffers[name] = buffer.to(self._device, dtypes.get(buffer.data_ptr(), buffer.dtype))
        for weight in self._weights.values():
            weight.parameter.requires_grad_(False)
            self._stand_in(weight)

    def _widen(self, in_float32: bool) -> None:
        self.give_back()
        for weight in self._weights.values():
            if weight.dtype in _HALF:
                weight.in_float32 = in_float32
                self._stand_in(weight)

    def _stand_in(self, weight: Weight) -> None:
        """Let a parameter be, to who does not ask for its numbers, what it is where the model runs."""
        in_place, shape = weight.runs_in_place(self._device), weight.source.shape
        weight.parameter.data = weight.source if in_place else placeholder(shape, weight.given_in, self._device)

    @property
    def _resident(self) -> int:
        """Bytes that are never given back."""
        held = [one for unit in self._units for one in unit.weights if one.stays(self._device)]
        return self._rest.n_bytes + sum(one.source.numel() * one.source.element_size() for one in held)

    def _size(self, unit: Unit) -> int:
        """Bytes that come and go with a unit."""
        return sum(
            one.n_bytes for one in unit.weights if not (one.runs_in_place(self._device) and one.stays(self._device))
        )

    def _turn_to(self, unit: Unit) -> None:
        """Have a unit there, and begin to bring what follows it."""
        if unit is self._rest:
            self._bring(unit)
            return
        self._clock += 1
        unit.last_used, self._current = self._clock, unit
        if self._coming is not None and unit not in self._here:
            coming, copies = self._coming
            if coming is unit:
                self._coming = None
                self._here[unit] = {key: self._taken(one) for key, one in copies.result().items()}
        self._bring(unit)
        self._bring_next(unit)

    def _bring(self, unit: Unit) -> None:
        if unit in self._here:
            return
        if unit is not self._rest:
            self._make_room(self._size(unit), unit)
        self._here[unit] = {key: self._taken(one) for key, one in self._copies(unit).items()}

    def _copies(self, unit: Unit) -> dict[int, nn.Parameter]:
        found = {}
        for one in unit.weights:
            if not one.runs_in_place(self._device):
                copy = to_device(one.source, one.dtype, self._device)
                found[id(one.parameter)] = nn.Parameter(copy.float(), False) if one.in_float32 else copy
                if one.in_file:
                    give_back(one.source)
        return found

    def _taken(self, copy: nn.Parameter) -> nn.Parameter:
        """A copy, from here on used by the products of this thread."""
        if copy.device.type == "cuda":
            copy.record_stream(torch.cuda.current_stream(copy.device))
        return copy

    def _bring_next(self, unit: Unit) -> None:
        """Begin to bring the block behind one, if there is room for both."""
        following = self._following(unit)
        if following is None or following in self._here or self._coming is not None:
            return
        size = self._size(following)
        if self._resident + self._size(unit) + size > self.budget or not self._make_room(size, unit):
            return
        if all(one.runs_in_place(self._device) for one in following.weights):
            for one in following.weights:
                if one.in_file:
                    read_ahead(one.source)
            following.last_used = self._clock
            self._here[following] = {}
            return
        if self._helper is None:
            self._helper = ThreadPoolExecutor(1, "weights", initializer=set_threads, initargs=(1,))
        self._coming = (following, self._helper.submit(self._copies, following))

    def _following(self, unit: Unit) -> Unit | None:
        """The block behind a block, the first behind the last; of others, none."""
        blocks = [one for one in self._units if one.is_block]
        return blocks[(blocks.index(unit) + 1) % len(blocks)] if unit.is_block and len(blocks) > 1 else None

    def _make_room(self, n_bytes: int, needed: Unit) -> bool:
        """Give back units until there are so many bytes; False if not even that is enough."""
        while self.n_here + n_bytes > self.budget:
            others = [one for one in self._here if one is not needed and one is not self._rest]
            if others:
                self._leave(max(others, key=self._next_use))
            elif self._coming is not None and self._coming[0] is not needed:
                self._drop_coming()
            else:
                return False
        return True

    def _next_use(self, unit: Unit) -> tuple[bool, int]:
        """Whether a unit has not been read for a whole round of all, and how far it is until its turn comes, in units."""
        unused = self._clock - unit.last_used > len(self._units)
        current = self._units.index(self._current) if self._current is not None else 0
        return unused, (self._units.index(unit) - current) % len(self._units)

    def _leave(self, unit: Unit) -> None:
        del self._here[unit]
        for one in unit.weights:
            if one.in_file and one.runs_in_place(self._device):
                give_back(one.source)

    def _drop_coming(self) -> None:
        if self._coming is not None:
            self._coming[1].result()
            self._coming = None

    def _check_budget(self, name: str) -> None:
        """Refuse a budget that the largest unit does not fit into beside what stays."""
        largest = max(self._units, key=self._size, default=self._rest)
        converted = [one for unit in self._units for one in unit.weights if not one.runs_in_place(self._device)]
        on_cpu = self._device.type == "cpu"
        beside = max((one.source.numel() * one.source.element_size() for one in converted if on_cpu), default=0)
        needed = self._resident + (self._size(largest) if self._units else 0) + beside
        if needed <= self.budget:
            return
        held = self._resident - self._rest.n_bytes
        raise InputError(
            f"--model-memory {size_text(self.budget)} is too little for {name}, whose weights take "
            f"{size_text(self.n_bytes)}: its largest part, {largest.name}, takes {size_text(self._size(largest))}, and "
            f"{size_text(self._resident + beside)} must be there beside it"
            + (f" ({size_text(held)} are made anew while it loads, and lie in no file)" if held else ""),
            f"Expected at least {needed:,} bytes",
            f"Write --model-memory {-(-needed // 10**6)}MB, or leave it out"
            if needed > 10**8
            else f"Write --model-memory {-(-needed // 10**3)}KB, or leave it out",
        )


class _Parameters(dict[str, Any]):
    """The parameters of a module: who asks for one by its name is given it where the model runs.

    Who goes through all of them is given what stands in their place: names, shapes, types and devices.
    """

    def __init__(self, own: Mapping[str, Any], stream: StreamedWeights) -> None:
        super().__init__(own)
        self._stream = stream

    def __getitem__(self, name: str) -> Any:
        own = super().__getitem__(name)
        return None if own is None else self._stream.get(own)


_STREAMS: "WeakKeyDictionary[nn.Module, StreamedWeights]" = WeakKeyDictionary()


def stream_of(module: nn.Module) -> StreamedWeights | None:
    """How the weights of a model are brought; None for one that is held whole."""
    return _STREAMS.get(module)

"""The passes of a proof: the model's own plain calls, and ours; side by side where weights are brought anew for each pass.

That they may go side by side is shown by two of them, run alone before: a model may not that keeps something of an input until
it has read all of it, other than in what its modules hand on.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from ffmem.errors import ModelError
from ffmem.models.inputs import padded_rows
from ffmem.models.masks import one_text_a_row
from ffmem.models.plain_call import PlainInput, catching_coefficients
from ffmem.models.run_state import RunState
from ffmem.models.streaming.ahead import Ahead, may_gain
from ffmem.models.transformer import Transformer

_CELLS = 2048
"""Cells of a layer that are compared: a wrong input of a layer shows in all of them."""
Rows = list[PlainInput]
"""Inputs of one of our passes, a row each."""


class _Now(threading.local):
    """What the pass of a thread has given so far, layer by layer."""

    layers: list[Tensor]


class ProofPasses:
    """Runs a model over what it is tried on.

    Args:
        model: as it was loaded; ``state`` is that which each plain call begins in.
    """

    def __init__(self, model: Transformer) -> None:
        self._model, self.state = model, RunState(model.module)
        self._columns = [torch.arange(0, cells.n_cells, -(-cells.n_cells // _CELLS)) for cells in model.facts.layers]
        self._plain = Ahead(model.module, partial(catching_coefficients, model, self._columns))
        self._ours = Ahead(model.module, self._watching)
        self.in_step = False
        """Whether passes go side by side."""

    def plain(self, one: PlainInput) -> list[Tensor]:
        """The coefficients of a sentence's own tokens by the model's own call, from the state that it was loaded in."""
        self.state.restore()
        return [layer[one.own_slice] for layer in self._plain(one)]

    def ours(self, rows: Sequence[PlainInput]) -> list[list[Tensor]]:
        """The same of several sentences in one pass of ours, padded on the right: [row][layer]."""
        return self._ours(list(rows))

    def plain_ahead(
        self,
        inputs: Sequence[PlainInput],
        known: Sequence[PlainInput],
        same: Callable[[Sequence[Tensor], Sequence[Tensor]], bool],
    ) -> None:
        """Make plain calls that will be asked for side by side, if there is a reason to and the model may.

        Args:
            inputs: what will be asked for.
            known: those among them that are run alone before, the one that may change the model's state most as the last; they
                may be asked for twice, and what was found alone is handed out first.
            same: whether what was found side by side is what was found alone.
        """
        if not may_gain(self._model.module):
            return
        alone = []
        for one in known:
            self.state.restore()
            alone.append(self._plain.alone(one))
        if self.state.changed():
            return
        try:
            found = self._plain.make(inputs)
        except ModelError:  # that of a pass which is run alone is told
            return
        by_place = [found[list(inputs).index(one)] for one in known]
        self.in_step = not self.state.changed() and all(map(same, by_place, alone))
        if self.in_step:
            self._plain.keep([*known, *inputs], [*alone, *found])

    def ours_ahead(self, groups: Sequence[Rows]) -> None:
        """Make passes of ours side by side, if that has been shown to change nothing."""
        if self.in_step:
            with suppress(IndexError, RuntimeError):  # those of a pass which is run alone are told
                self._ours.keep(groups, self._ours.make(groups))

    @contextmanager
    def _watching(self) -> Iterator[Callable[[Rows], list[list[Tensor]]]]:
        now = _Now()

        def keep(layer: int, found: Float[Tensor, "batch positions cells"]) -> None:
            now.layers.append(found.detach()[..., self._columns[layer].to(found.device)].float().clone())

        def run(rows: Rows) -> list[list[Tensor]]:
            now.layers = []
            ids, mask = padded_rows([row.own for row in rows], rows[0].prefix, rows[0].suffix, self._model.pad_id)
            self._model.forward(torch.from_numpy(ids).to(self._model.device), torch.from_numpy(mask))
            return [[layer[number, one.own_slice] for layer in now.layers] for number, one in enumerate(rows)]

        with one_text_a_row(), self._model.watch_coefficients(keep):
            yield run

"""What the flow page asks of a model. Loaded with the model, in its thread."""

from collections.abc import Callable

from ffmem.analyses.flow import Flow, flow
from ffmem.errors import FfmemError, InputError
from ffmem.ids import CellId
from ffmem.models.transformer import Transformer
from ffmem.server.views.flow import FlowAnswer, FlowState
from ffmem.store.reader import Index


def ask_flow(model: Transformer, index: Index, state: FlowState, short: Callable[[str], str]) -> FlowAnswer:
    """The sum behind a prediction, and of pinned cells what made them fire.

    Args:
        model: that of the index.
        index: an opened index.
        state: what is asked.
        short: refuses a text that is too long for a page.
    """
    problems: list[tuple[str, str]] = []
    cells = _cells(model, state, problems)
    found = None
    try:
        found = flow(
            model,
            short(state.text),
            target=state.target or None,
            against=state.against or None,
            at=state.at,
            index=index,
            cells=cells,
        )
    except FfmemError as error:
        problems.append(("flow", str(error)))
    if found is not None:
        problems += _unknown(found, state, cells)
    return FlowAnswer(tuple(problems), found)


def _cells(model: Transformer, state: FlowState, problems: list[tuple[str, str]]) -> list[CellId]:
    """Those of the pins that are cells."""
    found = []
    for pin in state.pin:
        if pin != "embedding" and "@" not in pin and pin.rpartition(".")[2].isdecimal():
            try:
                found.append(model.cells.parse(pin))
            except InputError as error:
                problems.append(("pin", str(error)))
    return found


def _unknown(found: Flow, state: FlowState, cells: list[CellId]) -> list[tuple[str, str]]:
    """Pins that name nothing of this sum; a cell may be there without being among the largest."""
    names = {one.name for one in found.sum.parts(found.n_before)} | {str(one) for one in cells}
    return [
        ("pin", f"there is no part {pin[:60]!r} in this sum. Expected one of those in the table. Unpin it.")
        for pin in state.pin
        if pin not in names and not pin.rpartition(".")[2].isdecimal()
    ]

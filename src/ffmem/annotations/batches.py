"""Blind batches: which cells are annotated, under numbers that tell nothing of them, and the key to those numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ffmem.annotations.protocol import MIN_TRIGGERS, ShownCell, ShownTrigger, check_name
from ffmem.cell import mark
from ffmem.errors import InputError, StoreError
from ffmem.json_values import JsonObject
from ffmem.store.files import disk_errors, parse_json, write_json
from ffmem.store.identity import identity_id
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

N_CELLS = 10
"""Cells of a layer, as in the paper."""
N_TRIGGERS = 25
"""Triggers of a cell, as in the paper."""


@dataclass(frozen=True)
class Batch:
    """Cells to be annotated; on a sheet they are numbered from 1, in this order."""

    name: str
    seed: int
    cells: tuple[ShownCell, ...]
    """In an order that does not tell the layer; nor does that of their triggers tell the coefficient."""

    def to_json(self, index: Index) -> JsonObject:
        """The key: which number stands for which cell, and for which of its triggers."""
        cells = [
            {
                "cell": str(one.cell),
                "sign": one.sign,
                "triggers": [[trigger.sentence_id, trigger.position] for trigger in one.triggers],
            }
            for one in self.cells
        ]
        return {"index": index_id(index), "batch": self.name, "seed": self.seed, "cells": cells}


def annotations_folder(index: Index) -> Path:
    """Where what people say about the cells of an index is kept."""
    return index.folder / "annotations"


def index_id(index: Index) -> str:
    """A name that two indexes share only if the same model, text and options decided their content."""
    return identity_id(index.manifest.identity.json)


def shown_trigger(index: Index, sentence_id: int, position: int) -> ShownTrigger:
    """A prefix of a sentence, as annotators see it.

    Raises:
        InputError: no such sentence or position.
    """
    row = index.text.sentence(sentence_id)
    if not 0 <= position < len(row.token_ids):
        raise InputError(
            f"position {position} of sentence {sentence_id} does not exist",
            f"Expected 0 to {len(row.token_ids) - 1}",
            "Positions count from 0",
        )
    before, token, _ = mark(row.text, (int(row.token_starts[position]), int(row.token_ends[position])))
    text = " ".join((before + token).split())
    printable = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)
    return ShownTrigger(sentence_id, position, row.text, printable)


def draw(
    index: Index,
    name: str,
    *,
    layers: Sequence[int] | None = None,
    among: Sequence[np.ndarray] | None = None,
    per_layer: int = N_CELLS,
    n_triggers: int = N_TRIGGERS,
    sign: int = 1,
    seed: int = 0,
) -> Batch:
    """Random cells of each layer, in random order, each with its first triggers in random order.

    Cells with fewer than `MIN_TRIGGERS` triggers, in which there can be no pattern, are not drawn.

    Args:
        index: an opened index.
        name: of the batch; it stands on the sheets.
        layers: places of layers; None: all.
        among: for each layer, by its place, whether each of its cells may be drawn; None: all may.
        per_layer: cells of each; a layer with fewer gives those it has.
        n_triggers: at most so many of a cell.
        sign: 1, or -1 for the triggers of negative coefficients, which gated cells have.
        seed: of the draws.

    Raises:
        InputError: a number is out of range; there is nothing to draw.
    """
    check_name(name, "batch")
    _check(index, per_layer, n_triggers, sign)
    rng = np.random.default_rng(seed)
    drawn: list[tuple[int, int]] = []
    for place in range(index.n_layers) if layers is None else layers:
        rows = np.flatnonzero(index.layer(place).trigger_token[:, (1 - sign) // 2, MIN_TRIGGERS - 1] != NO_TOKEN)
        if among is not None:
            rows = rows[among[place][rows]]
        picked = rng.choice(rows, min(per_layer, len(rows)), replace=False)
        drawn += [(place, row) for row in picked.tolist()]
    if not drawn:
        raise InputError(
            f"no cell of these layers has {MIN_TRIGGERS} triggers",
            "Expected cells in which there can be a pattern",
            "Index more text, or draw from other layers",
        )
    cells = []
    for i in rng.permutation(len(drawn)).tolist():
        place, row = drawn[i]
        tokens = index.layer(place).trigger_token[row, (1 - sign) // 2, :n_triggers]
        places = [index.text.locate(token) for token in rng.permutation(tokens[tokens != NO_TOKEN]).tolist()]
        triggers = tuple(shown_trigger(index, *one) for one in places)
        cells.append(ShownCell(index.cells.cell_id(place, row), sign, triggers))
    return Batch(name, seed, tuple(cells))


def _check(index: Index, per_layer: int, n_triggers: int, sign: int) -> None:
    if per_layer < 1:
        raise InputError(f"--per-layer is {per_layer}", "Expected 1 or more", f"Write --per-layer {N_CELLS}")
    if not MIN_TRIGGERS <= n_triggers <= index.top:
        raise InputError(
            f"--triggers is {n_triggers}, and the index keeps {index.top} of each cell",
            f"Expected {MIN_TRIGGERS} or more, and no more than it keeps",
            f"Write --triggers {index.top}, or build an index with a larger --top",
        )
    if sign not in (1, -1)[: index.n_signs]:
        raise InputError(
            f"--sign is {sign}",
            f"Expected {'1 or -1' if index.n_signs == 2 else '1: only gated cells have triggers of either sign'}",
            "Leave --sign out",
        )


def save_batch(index: Index, batch: Batch) -> None:
    """Write the key of a batch; one that already exists must be the same.

    Raises:
        InputError: a batch of that name holds other cells.
    """
    path = _key_path(index, batch.name)
    if path.is_file():
        if load_batch(index, batch.name).cells == batch.cells:
            return
        raise InputError(
            f"a batch {batch.name!r} with other cells already exists: {path}",
            "Expected a new name, or the same draw again",
            "Choose another name with --batch, or give the arguments that the first draw had",
        )
    with disk_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, batch.to_json(index))


def load_batch(index: Index, name: str) -> Batch:
    """A batch that was drawn from an index, by its key.

    Raises:
        InputError: there is none of this name, or it is of another index.
        StoreError: its key is damaged.
    """
    path = _key_path(index, name)
    known = sorted(one.stem for one in path.parent.glob("*.json"))
    if name not in known:
        raise InputError(
            f"{index.folder} has no batch {name!r}",
            f"Expected one of: {', '.join(known)}" if known else "Expected a batch that was drawn from this index",
            "Import the sheet into the index that it was drawn from; `ffmem annotate draw` makes a batch",
        )
    try:
        found = parse_json(path.read_bytes())
        check_index(index, found["index"], str(path))
        cells = tuple(
            ShownCell(
                index.cell_id(one["cell"]),
                int(one["sign"]),
                tuple(shown_trigger(index, sentence_id, position) for sentence_id, position in one["triggers"]),
            )
            for one in found["cells"]
        )
        return Batch(name, int(found["seed"]), cells)
    except (ValueError, KeyError, TypeError, OSError) as error:
        raise StoreError(
            f"{path} is damaged: {error}",
            "Expected a key as `ffmem annotate draw` wrote it",
            "Copy the file again, or move it away and draw again with the same arguments",
        ) from error


def check_index(index: Index, found: str, where: str) -> None:
    """Refuse what belongs to another index.

    Raises:
        InputError: it does.
    """
    if found != index_id(index):
        raise InputError(
            f"{where} belongs to another index: {found!r}",
            f"Expected the index {index_id(index)!r}, which is {index.folder}",
            "Give the index that it was drawn from or exported from",
        )


def _key_path(index: Index, name: str) -> Path:
    return annotations_folder(index) / "keys" / f"{name}.json"

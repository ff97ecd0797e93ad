"""What is drawn: by a seed, blind, from the cells there are."""

import dataclasses
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from ffmem import Index, InputError, StoreError
from ffmem.annotations.batches import draw, index_id, load_batch, save_batch, shown_trigger
from ffmem.annotations.store import write_sheets


def test_so_many_cells_of_each_layer_with_their_first_triggers(index: Index) -> None:
    batch = draw(index, "b", per_layer=4, n_triggers=5)
    places = [index.cells.place(one.cell) for one in batch.cells]
    assert Counter(place for place, _ in places) == dict.fromkeys(range(index.n_layers), 4)
    assert len({*places}) == len(places)
    for one in batch.cells:
        stored = index.cell(one.cell).triggers[:5]
        assert {(t.sentence_id, t.position) for t in one.triggers} == {(t.sentence_id, t.position) for t in stored}
        for trigger in one.triggers:
            (found,) = [t for t in stored if t.sentence_id == trigger.sentence_id]
            before, token, _ = found.marked()
            assert trigger.text == " ".join((before + token).split()) and trigger.text.endswith("]")
            assert trigger.sentence == found.text


def test_a_seed_decides_everything(index: Index) -> None:
    assert draw(index, "b", n_triggers=5, seed=3) == draw(index, "b", n_triggers=5, seed=3)
    assert draw(index, "b", n_triggers=5, seed=3).cells != draw(index, "b", n_triggers=5, seed=4).cells


def test_no_order_tells_anything(index: Index) -> None:
    batch = draw(index, "b", n_triggers=6)
    places = [index.cells.place(one.cell)[0] for one in batch.cells]
    n_steps = sum(a <= b for a, b in pairwise(places))
    assert places != sorted(places) and n_steps < 0.9 * len(places)
    ranks: Counter[int] = Counter()
    for one in batch.cells:
        order = [t.sentence_id for t in index.cell(one.cell).triggers]
        ranks[order.index(one.triggers[0].sentence_id)] += 1
    assert len(ranks) > 2  # of those shown first


def test_sheets_tell_neither_cell_nor_layer_nor_coefficient(index: Index, tmp_path: Path) -> None:
    """Of two draws of the same triggers from other cells, the sheets are the same."""
    batch = draw(index, "b", per_layer=3, n_triggers=5)
    other = [index.cells.cell_id(index.n_layers - 1, row) for row in range(len(batch.cells))]
    moved = [dataclasses.replace(one, cell=cell, sign=-1) for one, cell in zip(batch.cells, other, strict=True)]
    files = write_sheets(index, batch, ["ann"], tmp_path / "one")
    (index.folder / "annotations" / "keys" / "b.json").unlink()
    again = write_sheets(index, dataclasses.replace(batch, cells=tuple(moved), seed=9), ["ann"], tmp_path / "two")
    assert len(files) == 2
    for path, same in zip(files, again, strict=True):
        assert path.read_bytes() == same.read_bytes()
        for one in batch.cells:
            assert f"{one.cell}" not in path.read_text()


def test_some_layers_and_small_layers(index: Index) -> None:
    batch = draw(index, "b", layers=[1], per_layer=10**6, n_triggers=3)
    assert {index.cells.place(one.cell)[0] for one in batch.cells} == {1}
    n_full = sum(
        len(index.cell(index.cells.cell_id(1, row)).triggers) >= 3 for row in range(index.cells.layers[1].n_cells)
    )
    assert len(batch.cells) == n_full > 3


def test_triggers_of_negative_coefficients(index_of: Callable[[str], Index]) -> None:
    gated = index_of("llama")
    batch = draw(gated, "b", per_layer=2, n_triggers=5, sign=-1)
    for one in batch.cells:
        negative = [t for t in gated.cell(one.cell).triggers if t.sign == -1][:5]
        assert one.sign == -1 and {t.sentence_id for t in one.triggers} == {t.sentence_id for t in negative}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"per_layer": 0}, "--per-layer is 0. Expected 1 or more. Write --per-layer 10."),
        (
            {"n_triggers": 99},
            "--triggers is 99, and the index keeps {top} of each cell. Expected 3 or more, and no more than it keeps. "
            "Write --triggers {top}, or build an index with a larger --top.",
        ),
        (
            {"sign": -1},
            "--sign is -1. Expected 1: only gated cells have triggers of either sign. Leave --sign out.",
        ),
        (
            {"layers": []},
            "no cell of these layers has 3 triggers. Expected cells in which there can be a pattern. "
            "Index more text, or draw from other layers.",
        ),
    ],
)
def test_what_cannot_be_drawn(index: Index, arguments: dict[str, int], message: str) -> None:
    with pytest.raises(InputError) as error:
        draw(index, "b", **({"n_triggers": 5} | arguments))  # type: ignore[arg-type]
    assert str(error.value) == message.format(top=index.top)


def test_keys_are_read_again_and_kept(index: Index) -> None:
    batch = draw(index, "b", per_layer=2, n_triggers=5, seed=1)
    save_batch(index, batch)
    save_batch(index, batch)
    assert load_batch(index, "b") == batch
    with pytest.raises(InputError) as error:
        save_batch(index, draw(index, "b", per_layer=2, n_triggers=5, seed=2))
    path = index.folder / "annotations" / "keys" / "b.json"
    assert str(error.value) == (
        f"a batch 'b' with other cells already exists: {path}. Expected a new name, or the same draw again. "
        "Choose another name with --batch, or give the arguments that the first draw had."
    )
    assert load_batch(index, "b") == batch
    with pytest.raises(InputError, match=r"has no batch 'c'\. Expected one of: b\."):
        load_batch(index, "c")
    path.write_text(path.read_text().replace(index_id(index), "index-0"))
    with pytest.raises(InputError, match="belongs to another index: 'index-0'"):
        load_batch(index, "b")
    path.write_text("{}")
    with pytest.raises(StoreError, match="is damaged: 'index'"):
        load_batch(index, "b")


def test_there_must_be_such_a_position(index: Index) -> None:
    n = len(index.text.sentence(0).token_ids)
    with pytest.raises(InputError, match=f"position {n} of sentence 0 does not exist"):
        shown_trigger(index, 0, n)

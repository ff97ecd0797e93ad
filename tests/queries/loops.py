"""The slow way: a loop over every cell."""

from collections.abc import Iterator

from ffmem import Cell, Index


def every_cell(index: Index) -> Iterator[Cell]:
    for place, layer in enumerate(index.cells.layers):
        for row in range(layer.n_cells):
            yield index.cell(index.cells.cell_id(place, row))


def some_promoted(index: Index) -> str:
    """A token that several cells promote, and no other token has its text."""
    texts = [one.token for cell in every_cell(index) for one in cell.promoted]
    return max(sorted(set(texts)), key=lambda text: texts.count(text) if len(index.text.token_ids_of(text)) == 1 else 0)

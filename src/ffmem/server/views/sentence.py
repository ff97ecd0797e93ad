"""One sentence, and the cells that have it among their triggers."""

from dataclasses import dataclass

from ffmem.cell import Document
from ffmem.json_values import Record
from ffmem.server.explorer import Explorer
from ffmem.store.reader import Index, SentenceCell

_N_CELLS = 500
"""Most cells on the page."""


@dataclass(frozen=True)
class SentenceView(Record):
    """A stored sentence."""

    sentence_id: int
    text: str
    tokens: tuple[str, ...]
    n_occurrences: int
    held_out: bool
    document: Document
    n_cells: int
    cells: tuple[SentenceCell, ...]
    """The first of them, layer by layer, strongest first within each."""
    previous: int | None
    next: int | None


def sentence_view(explorer: Explorer, sentence_id: int) -> SentenceView:
    """See `SentenceView`.

    Raises:
        InputError: no such sentence.
    """
    index: Index = explorer.index
    row = index.text.sentence(sentence_id)
    document = index.text.document(row.document_id)
    cells = index.cells_of_sentence(sentence_id)
    return SentenceView(
        sentence_id=sentence_id,
        text=row.text,
        tokens=row.token_strings(),
        n_occurrences=row.n_occurrences,
        held_out=row.held_out,
        document=Document(document.id, document.name, document.metadata),
        n_cells=len(cells),
        cells=tuple(cells[:_N_CELLS]),
        previous=sentence_id - 1 if sentence_id else None,
        next=sentence_id + 1 if sentence_id + 1 < index.text.n_all_sentences else None,
    )

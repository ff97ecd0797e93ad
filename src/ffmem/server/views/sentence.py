"""One sentence, and the cells that have it among their triggers."""

from collections import Counter
from dataclasses import dataclass

from ffmem.cell import Document
from ffmem.json_values import Record
from ffmem.server.explorer import Explorer
from ffmem.store.reader import Index, SentenceCell

_N_CELLS = 500
"""Most cells on a page."""


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
    """Some of them, layer by layer, strongest first within each."""
    previous: int | None
    next: int | None
    n_by_token: tuple[int, ...] = ()
    """At each token, the cells that fire there among them."""
    at: int | None = None
    """The token that they fire on; None: any."""
    start: int = 0
    """The place of the first one that is given, from 0."""

    @property
    def next_start(self) -> int | None:
        """Where the next page of cells begins; None on the last one."""
        end = self.start + len(self.cells)
        return end if self.cells and end < self.n_cells else None

    @property
    def most(self) -> int:
        """The most cells at a token; 1 if there are none."""
        return max(self.n_by_token, default=0) or 1


def sentence_view(explorer: Explorer, sentence_id: int, at: int | None = None, start: int = 0) -> SentenceView:
    """See `SentenceView`.

    Args:
        explorer: of the index.
        sentence_id: which.
        at: only the cells that fire on this token.
        start: so many of them are passed over.

    Raises:
        InputError: no such sentence.
    """
    index: Index = explorer.index
    row = index.text.sentence(sentence_id)
    document = index.text.document(row.document_id)
    all_cells = index.cells_of_sentence(sentence_id)
    counts = Counter(one.position for one in all_cells)
    cells = [one for one in all_cells if at is None or one.position == at]
    return SentenceView(
        sentence_id=sentence_id,
        text=row.text,
        tokens=row.token_strings(),
        n_occurrences=row.n_occurrences,
        held_out=row.held_out,
        document=Document(document.id, document.name, document.metadata),
        n_cells=len(cells),
        cells=tuple(cells[start : start + _N_CELLS]),
        previous=sentence_id - 1 if sentence_id else None,
        next=sentence_id + 1 if sentence_id + 1 < index.text.n_all_sentences else None,
        n_by_token=tuple(counts[number] for number in range(len(row.token_ids))),
        at=at,
        start=start,
    )

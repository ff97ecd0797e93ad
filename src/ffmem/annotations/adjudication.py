"""What annotators differ on, as a sheet for whoever settles it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ffmem.annotations.annotator_agreement import by_cell, match
from ffmem.annotations.batches import Batch
from ffmem.annotations.protocol import ADJUDICATED, CellAnnotation, Pattern, ShownTrigger
from ffmem.annotations.rows import Values
from ffmem.annotations.sheets import marks_text, pattern_values


@dataclass
class _Pooled:
    """A pattern that some annotators have, each under a number of their own."""

    first: Pattern
    triggers: frozenset[ShownTrigger]
    """That carry it by the word of the first who has it."""
    members: dict[str, Pattern]
    """By annotator."""

    @property
    def is_of_one_class(self) -> bool:
        return len({one.pattern_class for one in self.members.values()}) == 1


def adjudication_rows(batch: Batch, annotations: Sequence[CellAnnotation]) -> list[Values]:
    """Rows of the cells of a batch on which annotators differ; none if they agree everywhere.

    The patterns of a cell are pooled: each annotator's are matched with those before them, and others are added. A class
    that is not the same for all who have the pattern is left blank, and so are the marks of a trigger that are not the
    same for all annotators. "said" is what each of them said, wherever it is not the same.

    Args:
        batch: the batch.
        annotations: what is stored, of any batch.
    """
    mine = [one for one in annotations if one.batch == batch.name and one.annotator != ADJUDICATED]
    found = {shown: said for (_, shown), said in by_cell(mine).items()}
    rows: list[Values] = []
    for number, shown in enumerate(batch.cells, 1):
        of_cell = {"batch": batch.name, "annotator": ADJUDICATED, "cell": str(number)}
        some = [of_cell | row for row in _cell_rows(found.get(shown, {}))]
        rows += some if any(row["said"] for row in some) else []
    return rows


def _cell_rows(said: Mapping[str, CellAnnotation]) -> Iterator[Values]:
    pool = _pool(said)
    for number, one in enumerate(pool, 1):
        differs = len(one.members) < len(said) or not one.is_of_one_class
        row = pattern_values(Pattern(number, one.first.text, one.first.pattern_class))
        told = "; ".join(f"{name}: {own.text} ({own.pattern_class})" for name, own in one.members.items())
        yield row | ({} if one.is_of_one_class else {"class": ""}) | {"said": told if differs else ""}
    pooled = {(name, own.number): i for i, one in enumerate(pool, 1) for name, own in one.members.items()}
    triggers = next(iter(said.values())).shown.triggers if said else ()
    for i, trigger in enumerate(triggers):
        marks = {name: marks_text(pooled[name, own] for own in one.marks[i]) for name, one in said.items()}
        differs = len({*marks.values()}) > 1
        yield {
            "row": "trigger",
            "number": str(i + 1),
            "text": trigger.text,
            "patterns": "" if differs else next(iter(marks.values())),
            "said": "; ".join(f"{name}: {own}" for name, own in marks.items()) if differs else "",
        }


def _pool(said: Mapping[str, CellAnnotation]) -> list[_Pooled]:
    pool: list[_Pooled] = []
    for name, one in said.items():
        carriers = {own.number: one.carriers(own.number) for own in one.patterns}
        pairs = match(dict(enumerate(entry.triggers for entry in pool)), carriers)
        place = {number: i for i, number, _ in pairs}
        for own in one.patterns:
            if own.number in place:
                pool[place[own.number]].members[name] = own
            else:
                pool.append(_Pooled(own, carriers[own.number], {name: own}))
    return pool

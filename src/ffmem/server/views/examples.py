"""Prompts to begin with: beginnings of sentences on which well-named cells of different topics fire most."""

from dataclasses import dataclass

from ffmem.cell import Name, Trigger
from ffmem.ids import CellId
from ffmem.server.explorer import Explorer
from ffmem.store.label_rows import GRADES
from ffmem.store.reader import Index

_KEPT = "examples"
_N_EXAMPLES = 6
_N_LOOKED_AT = 400
"""The surest names of each grade, of which those of other topics are taken."""
_LONGEST = 160
"""Characters of an example; of a longer beginning, the end."""
_SHORTEST = 12
_LETTERS = 4
"""That a firing token has at least: others say little of what a text is about."""


@dataclass(frozen=True)
class Example:
    """A text to ask about."""

    text: str
    cell: CellId
    """That fires at its last token."""
    name: Name


def choose_examples(explorer: Explorer) -> tuple[Example, ...]:
    """Chosen once; empty if no cell has a name that says more than a guess."""
    found: tuple[Example, ...] = explorer.kept(_KEPT, lambda: _choose(explorer.index))
    return found


def examples(explorer: Explorer) -> tuple[Example, ...]:
    """Those that were chosen; empty while they are being chosen."""
    found: tuple[Example, ...] | None = explorer.ready(_KEPT)
    return found or ()


def _choose(index: Index) -> tuple[Example, ...]:
    """The surest names first; of each topic, or each name where documents have no topics, one."""
    chosen: dict[str, Example] = {}
    for source, grade in (("human", ""), ("lm", ""), *(("", one) for one in GRADES[:2])):
        for cell, sign, name in index.names.find(source=source, grade=grade, limit=_N_LOOKED_AT)[0]:
            trigger = _strongest(index, cell, sign)
            if trigger is None or sum(map(str.isalpha, trigger.tokens[trigger.position])) < _LETTERS:
                continue
            topic = name.topic or trigger.document.metadata.get("topic") or name.text.split("·")[0]
            text = _beginning(trigger)
            if str(topic) not in chosen and len(text) >= _SHORTEST:
                chosen[str(topic)] = Example(text, cell, name)
            if len(chosen) == _N_EXAMPLES:
                return tuple(chosen.values())
    return tuple(chosen.values())


def _strongest(index: Index, cell: CellId, sign: int) -> Trigger | None:
    if cell not in index.cells:
        return None
    return next((one for one in index.cell(cell).triggers if one.sign == sign), None)


def _beginning(trigger: Trigger) -> str:
    """Its text up to the firing token."""
    text = trigger.text.encode()[: trigger.span[1]].decode("utf-8", "ignore").strip()
    return text[-_LONGEST:].partition(" ")[2] if len(text) > _LONGEST else text

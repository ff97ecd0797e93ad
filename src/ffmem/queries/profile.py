"""A cell's stored triggers in a few numbers: how alike they are, and how far the value agrees with what follows them."""

from collections import Counter
from dataclasses import dataclass
from math import exp, log

from ffmem.cell import Cell, Trigger
from ffmem.json_values import Record
from ffmem.store.reader import Index

N_PROMOTED = 10
"""Promoted tokens that count as what a value says."""
_FIELDS = ("topic", "label", "category")


@dataclass(frozen=True)
class SignProfile(Record):
    """The triggers of one sign."""

    sign: int
    n_triggers: int
    agrees: bool | None
    """Whether the token after the first trigger is the one that the value promotes most (with a negative coefficient:
    suppresses most); None if nothing follows it, or the model does not predict what follows."""
    n_followed: int
    """Triggers that a token follows."""
    n_followed_by_top: int
    """Of these, by the token that the value promotes most."""
    n_followed_by_promoted: int
    """By one of the first `N_PROMOTED`."""
    n_firing_tokens: int
    """Different tokens that it fires on."""
    firing_tokens: tuple[tuple[str, int], ...]
    """The most frequent of them, with how often."""
    n_documents: int
    """Different documents that the triggers come from."""
    even_tokens: float = 0.0
    """To how many tokens, each as frequent, the tokens that it fires on come: e to the power of their entropy."""
    field: str | None = None
    """What documents are grouped by ("topic", "label" or "category"), if all that the triggers come from have it."""
    groups: tuple[tuple[str, int], ...] = ()
    """The most frequent groups of documents, with how many triggers come from each."""
    n_groups: int = 0
    """Different groups."""


def profile(index: Index, cell: Cell) -> tuple[SignProfile, ...]:
    """One for each sign that the cell has triggers of."""
    predicts = index.manifest.model.predicts_next_token
    found = []
    for sign in (1, -1)[: index.signs_of(index.cells.place(cell.cell)[0])]:
        triggers = [one for one in cell.triggers if one.sign == sign]
        if triggers:
            said = [one.token for one in (cell.promoted if sign > 0 else cell.suppressed)[:N_PROMOTED]]
            found.append(_of_sign(sign, triggers, said, predicts))
    return tuple(found)


def _of_sign(sign: int, triggers: list[Trigger], said: list[str], predicts: bool) -> SignProfile:
    following = [one.next_token for one in triggers if one.next_token is not None] if predicts else []
    first = triggers[0].next_token
    firing = Counter(one.tokens[one.position] for one in triggers)
    field = next((name for name in _FIELDS if all(isinstance(_group(one, name), str) for one in triggers)), None)
    groups = Counter(str(_group(one, field)) for one in triggers) if field else Counter()
    return SignProfile(
        sign=sign,
        n_triggers=len(triggers),
        agrees=None if first is None or not predicts or not said else first == said[0],
        n_followed=len(following),
        n_followed_by_top=sum(one == said[0] for one in following) if said else 0,
        n_followed_by_promoted=sum(one in said for one in following),
        n_firing_tokens=len(firing),
        firing_tokens=tuple(firing.most_common(5)),
        n_documents=len({one.document.document_id for one in triggers}),
        even_tokens=exp(-sum(n / len(triggers) * log(n / len(triggers)) for n in firing.values())),
        field=field,
        groups=tuple(groups.most_common(3)),
        n_groups=len(groups),
    )


def _group(trigger: Trigger, field: str) -> object:
    return trigger.document.metadata.get(field)

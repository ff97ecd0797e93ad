"""Whether names by rule can be trusted: on held-out text, on fakes, with the names of others, on halves of the text."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ffmem.json_values import Record
from ffmem.names.rules.features import FAMILIES, Single
from ffmem.names.rules.firing import Sampled
from ffmem.names.rules.naming import CONFIDENT, GRADES, Names, name_units, unit_rows
from ffmem.names.rules.text import Text
from ffmem.names.rules.units import Block
from ffmem.selection import select
from ffmem.store.keys import NO_TOKEN
from ffmem.store.reader import Index

N_STRONGEST = 10
"""Held-out documents in which a unit is strongest, that a claimed topic is looked for in."""
OFTEN = 10.0
"""Times chance: what a name that claims a topic must reach."""
_MOST_FAKES = 4096
"""Units of which fakes are made."""


@dataclass(frozen=True)
class Row(Record):
    """Names of some units on held-out text; means over units with a rule, graded or not, None where there are none."""

    name: str
    """A layer, or a kind of name."""
    n_units: int
    """Units with a rule."""
    graded: float
    """Share of them with a grade."""
    confident: float
    """Share with one of the grades A and B."""
    f1: float | None
    strong: float | None
    """Share with F1 of 0.5 or more."""
    precision: float | None
    recall: float | None
    lift: float | None
    """Median."""
    same_family: float | None
    """Share that the other half of the documents, taken alone, gives a name of the same family."""
    overlap: float | None
    """Values that both halves have, of those that either has."""
    swapped: float | None
    """F1 of another unit's name."""
    value_side: float | None
    """Share whose promoted tokens follow measurably."""


@dataclass(frozen=True)
class Topics(Record):
    """What claims a topic: how often the documents in which the units are strongest, all held out, have it."""

    names: str
    """What claims it."""
    n: int
    lift: float | None
    """Times chance, mean over names."""
    often: float | None
    """Share of names with 10 times chance or more."""
    agrees: float | None
    """Share of names whose topic is the most frequent one there."""


@dataclass(frozen=True)
class Fakes(Record):
    """Units that nothing true can be said of, or that nobody has trained."""

    name: str
    n_units: int
    confident: float
    """Share with one of the grades A and B."""
    graded: float
    """Share with any grade."""


@dataclass(frozen=True)
class Evaluation(Record):
    """How far names by rule of an index can be trusted."""

    n_units: int
    is_tested: bool
    coverage: dict[str, float]
    """Share of all units by grade, with what is certain of them, and without a name."""
    layers: tuple[Row, ...]
    kinds: tuple[Row, ...]
    topics: tuple[Topics, ...]
    fakes: tuple[Fakes, ...]


def evaluate(
    index: Index,
    names: Names,
    *,
    untrained: Index | None = None,
    seed: int = 0,
    on_block: Callable[[int, int], None] = lambda *_: None,
) -> Evaluation:
    """Evaluate names.

    Args:
        index: the index.
        names: of its units.
        untrained: an index of a model of random weights, with a sample; its units are fakes, too.
        seed: of the fakes.
        on_block: called with how many fake units are done, and how many there are.
    """
    units = names.units
    n = max(len(units.place), 1)
    graded = _graded(names)
    named = {grade: float((graded & (names.grade == i)).sum() / n) for i, grade in enumerate(GRADES[:-1])}
    certain = float((units.certain > 0).sum() / n)
    has_rule = units.feature >= 0
    layers = [
        _row(names, index.cells.layers[place].name, has_rule & (units.place == place))
        for place in np.unique(units.place).tolist()
    ]
    kinds = [
        _row(names, family, has_rule & (names.family == i))
        for i, family in enumerate(FAMILIES)
        if (names.family == i).any()
    ]
    fakes = [_fakes("positions at random", _at_random(index, seed, on_block))] if names.is_tested else []
    if untrained is not None:
        fakes.append(_fakes("an untrained model", name_units(untrained, seed=seed, on_block=on_block)))
    return Evaluation(
        n_units=len(units.place),
        is_tested=names.is_tested,
        coverage=named | {"certain": certain, "none": 1 - sum(named.values()) - certain},
        layers=tuple(layers),
        kinds=tuple(kinds),
        topics=_topics(index, names, graded),
        fakes=(_fakes("cells of this index", names), *fakes),
    )


def _graded(names: Names) -> np.ndarray:
    graded: np.ndarray = (names.grade < len(GRADES) - 1) & (names.units.certain == 0) & names.is_tested
    return graded


def _row(names: Names, name: str, some: np.ndarray) -> Row:
    units, graded = names.units, _graded(names)
    f1 = np.nan_to_num(units.judged("f1"))

    def mean(values: np.ndarray) -> float | None:
        known = values[some]
        known = known[np.isfinite(known)]
        return round(float(known.mean()), 4) if len(known) and names.is_tested else None

    lift = units.judged("lift")[some]
    lift = lift[np.isfinite(lift)]
    return Row(
        name=name,
        n_units=int(some.sum()),
        graded=_share(graded, some),
        confident=_share(graded & (names.grade < CONFIDENT), some),
        f1=mean(f1),
        strong=mean(f1 >= 0.5),
        precision=mean(units.judged("precision")),
        recall=mean(units.judged("recall")),
        lift=round(float(np.median(lift)), 2) if len(lift) else None,
        same_family=mean(units.stable("same_family")),
        overlap=mean(units.stable("overlap")),
        swapped=mean(units.swapped_f1),
        value_side=mean(units.value_holds),
    )


def _share(part: np.ndarray, whole: np.ndarray) -> float:
    return round(float((part & whole).sum() / max(int(whole.sum()), 1)), 4)


def _fakes(name: str, names: Names) -> Fakes:
    graded = _graded(names)
    n = max(len(graded), 1)
    confident = float((graded & (names.grade < CONFIDENT)).sum() / n)
    return Fakes(name, len(graded), round(confident, 5), round(float(graded.sum() / n), 5))


def _at_random(index: Index, seed: int, on_block: Callable[[int, int], None]) -> Names:
    """Names of units whose sampled coefficients stand at random positions of the text."""
    share = min(100.0, 100.0 * _MOST_FAKES / max(index.n_cells * index.n_signs, 1))
    cells = None if share == 100 or not index.cells.is_whole else select(index.cells, f"{share:.4f}%", seed)

    def disguise(text: Text, sampled: Sampled, block: Block) -> Sampled:
        rng = np.random.default_rng([seed, 25, block.place, block.sign + 1, int(block.rows[0])])
        places = np.flatnonzero(text.competes)
        drawn = places[rng.integers(0, len(places), sampled.token.shape)]
        return Sampled(drawn, sampled.coefficient, sampled.weight)

    return name_units(index, cells, seed=seed, on_block=on_block, disguise=disguise)


def _topics(index: Index, names: Names, graded: np.ndarray) -> tuple[Topics, ...]:
    """What claims a value of a document's field, against the documents of the strongest held-out triggers."""
    found: dict[str, list[tuple[float, bool]]] = {"names": [], "preferred": [], "guesses": []}
    for number, (block, one, place) in enumerate(unit_rows(names)):
        feature_number = int(names.units.feature[number])
        claims: list[tuple[str, int, np.ndarray]] = []
        if feature_number >= 0 and names.features.all[feature_number].family == "field":
            value = one.choice.rules[feature_number].value[place]
            claims.append(("names" if graded[number] else "guesses", feature_number, value[value >= 0]))
        if names.topical[number]:
            claims.append(("preferred", int(one.topics.feature[place]), one.topics.value[place : place + 1]))
        for kind, of_feature, claimed in claims:
            measured = _claim(index, names, of_feature, claimed, block, int(block.rows[place]))
            if measured is not None:
                found[kind].append(measured)
    said = {
        "names": "names with a grade",
        "preferred": "topics in the evidence of any name",
        "guesses": "guesses without a grade",
    }
    return tuple(_topics_row(said[kind], some) for kind, some in found.items())


def _topics_row(name: str, found: list[tuple[float, bool]]) -> Topics:
    if not found:
        return Topics(name, 0, None, None, None)
    lift, agrees = np.array([one[0] for one in found]), np.array([one[1] for one in found])
    return Topics(
        name,
        len(found),
        round(float(lift.mean()), 2),
        round(float((lift >= OFTEN).mean()), 3),
        round(float(agrees.mean()), 3),
    )


def _claim(
    index: Index, names: Names, feature: int, claimed: np.ndarray, block: Block, row: int
) -> tuple[float, bool] | None:
    """How many times chance a unit's strongest held-out documents have what is claimed, and whether it is the commonest."""
    values, text = names.features.all[feature].values, names.features.text
    documents = _strongest(index, text, block, row)
    if not len(documents) or not isinstance(values, Single):
        return None
    held_out, there = values.of[text.quarter >= 2], values.of[documents]
    chance = max(float(np.isin(held_out, claimed).mean()), 1.0 / max(len(held_out), 1))
    counts = np.bincount(there[there >= 0], minlength=int(claimed.max()) + 1)
    return float(np.isin(there, claimed).mean()) / chance, bool(counts[claimed].max() == counts.max())


def _strongest(index: Index, text: Text, block: Block, row: int) -> np.ndarray:
    """The first held-out documents among the triggers of a unit, each once."""
    tokens = index.layer(block.place).trigger_token[row, 0 if block.sign > 0 else 1]
    tokens = tokens[(tokens != NO_TOKEN) & (tokens < len(text.token))].astype(np.int64)
    documents = text.document[tokens]
    documents = documents[text.quarter[documents] >= 2]
    _, first = np.unique(documents, return_index=True)
    strongest: np.ndarray = documents[np.sort(first)][:N_STRONGEST]
    return strongest

"""What the labeller is shown of a unit: where it fires most, where it fires less, and where it does not although it might."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.names.halves import Half
from ffmem.names.lm.known import Known, Unit
from ffmem.names.lm.texts import Texts, one_a_document

N_TRIGGERS, N_WEAKER, N_HARD = 8, 8, 6
N_TOKENS = 10
"""Promoted, and suppressed."""
N_OF_QUADRANT = 2
"""Examples of each pair of signs that makes up more than `LEAST_OF_QUADRANT` of the active positions."""
LEAST_OF_QUADRANT = 0.1
_WEAKEST = 2.0**-4
"""Of the maximum: below it, strata are no longer told apart."""
WHY = ("the same last token", "the same last two tokens", "alike words before")
"""What makes a position at which a unit is silent a hard one."""


@dataclass(frozen=True)
class Example:
    """A position that is shown."""

    token: int
    """Its token index."""
    text: str
    """As it stands in the prompt."""
    strength: int
    """From 0 (silent) to 10."""
    why: str = ""
    """Of a silent one: what makes it a hard one, see `WHY`; empty if nothing does."""


@dataclass(frozen=True)
class QuadrantShown:
    """What a gated cell does where its gate and its up branch have certain signs."""

    name: str
    n_positions: int
    examples: tuple[Example, ...]
    """None of quadrants of the other sign, or of few positions."""


@dataclass(frozen=True)
class Shown:
    """All that the labeller is shown of a unit; nothing in it is from the half that judges."""

    triggers: tuple[Example, ...]
    weaker: tuple[Example, ...]
    silent: tuple[Example, ...]
    promoted: tuple[str, ...]
    suppressed: tuple[str, ...]
    quadrants: tuple[QuadrantShown, ...] = ()

    @property
    def tokens(self) -> list[int]:
        """Every position that is shown, for the record."""
        quadrants = [one for quadrant in self.quadrants for one in quadrant.examples]
        return [one.token for one in (*self.triggers, *self.weaker, *self.silent, *quadrants)]


def shown_of(texts: Texts, unit: Unit, known: Known, seed: int, *, draw: int = 0) -> Shown:
    """What to show of a unit, from the naming half alone, no two positions of one document where that can be.

    Args:
        texts: the text.
        unit: whose value's tokens and quadrants are shown.
        known: where it fires.
        seed: of the draws.
        draw: another number shows other examples of the same unit.
    """
    rng = np.random.default_rng([seed, 24, draw])
    used: set[int] = set()

    def examples(tokens: Sequence[int], coefficients: dict[int, float]) -> tuple[Example, ...]:
        return tuple(_example(texts, known, one, coefficients[one]) for one in tokens)

    top = known.top.where(texts.halves.is_in("naming", known.top.tokens))
    of_top = dict(zip(top.tokens.tolist(), top.coefficients.tolist(), strict=True))
    # another draw begins further down, where there are triggers enough
    first = draw * N_TRIGGERS if len(top) >= (draw + 1) * N_TRIGGERS else 0
    triggers = one_a_document(texts, [*of_top][first:] + [*of_top][:first], N_TRIGGERS, used)
    weaker, of_weaker = _weaker(texts, known, set(triggers), used, rng)
    silent = hard_negatives(texts, known, "naming", N_HARD, rng, used)
    promoted, suppressed = value_tokens(texts, unit)
    return Shown(
        triggers=examples(triggers, of_top),
        weaker=examples(weaker, of_weaker),
        silent=tuple(Example(one, texts.excerpt(one), 0, why) for one, why in silent),
        promoted=promoted,
        suppressed=suppressed,
        quadrants=_quadrants(texts, unit, known, used),
    )


def _example(texts: Texts, known: Known, token: int, coefficient: float) -> Example:
    return Example(token, texts.excerpt(token), known.strength(coefficient))


def _weaker(
    texts: Texts, known: Known, shown: set[int], used: set[int], rng: np.random.Generator
) -> tuple[list[int], dict[int, float]]:
    """Positions below the triggers, from strong to weak: of each half octave below the first in turn, one at a time."""
    sample = known.sample.where(texts.halves.is_in("naming", known.sample.tokens))
    least, most = known.maximum * _WEAKEST, known.maximum * 2**-0.5
    sample = sample.where((sample.coefficients > least) & (sample.coefficients <= most))
    coefficients = dict(zip(sample.tokens.tolist(), sample.coefficients.tolist(), strict=True))
    strata: dict[int, list[int]] = {}
    for token in rng.permutation(sample.tokens).tolist():
        if token not in shown:
            strata.setdefault(int(np.floor(-2 * np.log2(coefficients[token] / known.maximum))), []).append(token)
    in_turn = [
        one[i]
        for i in range(max(map(len, strata.values()), default=0))
        for _, one in sorted(strata.items())
        if i < len(one)
    ]
    chosen = one_a_document(texts, in_turn, N_WEAKER, used)
    return sorted(chosen, key=lambda one: (-coefficients[one], one)), coefficients


def hard_negatives(
    texts: Texts, known: Known, half: Half, n: int, rng: np.random.Generator, used: set[int] | None = None
) -> list[tuple[int, str]]:
    """Silent positions of a half that look like firing ones, a third of each kind of `WHY` where there are as many.

    Returns:
        token index and what makes it hard; empty for those that only fill up, the most alike first.
    """
    silent = rng.permutation(known.silent[texts.halves.is_in(half, known.silent)])
    like, used = known.top.tokens, set() if used is None else used
    if not len(silent) or not len(like):
        return []
    last = np.isin(texts.last[silent], texts.last[like])
    pairs = {*zip(texts.previous(like).tolist(), texts.last[like].tolist(), strict=True)}
    own = zip(texts.previous(silent).tolist(), texts.last[silent].tolist(), strict=True)
    both = last & np.fromiter((pair[0] >= 0 and pair in pairs for pair in own), bool, len(silent))
    nearest = np.argsort(-texts.alike(silent, like), kind="stable")
    others = nearest[~last[nearest]]
    # a quarter of the others, those whose words are most alike: the rest only fills up
    kinds = {WHY[1]: np.flatnonzero(both), WHY[0]: np.flatnonzero(last & ~both), WHY[2]: others[: -(-len(others) // 4)]}
    found: dict[int, str] = {}
    for why, places in kinds.items():
        tokens = silent[places].tolist()
        found |= dict.fromkeys(one_a_document(texts, tokens, -(-n // 3), used), why)
    more = {one: why for why, places in kinds.items() for one in silent[places].tolist() if one not in found}
    more |= {one: "" for one in silent[others].tolist() if one not in found and one not in more}
    for one in one_a_document(texts, [*more], n - len(found), used):
        found[one] = more[one]
    return [*found.items()][:n]


def value_tokens(texts: Texts, unit: Unit) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The tokens that a unit promotes and suppresses when it fires: of sign -1, those of the cell change places."""
    index = texts.index
    place, row = index.cells.place(unit.cell)
    arrays = index.layer(place)
    ends = [
        index.text.token_strings(getattr(arrays, f"{end}_ids")[row, :N_TOKENS].tolist())
        for end in ("promoted", "suppressed")
    ]
    return (ends[0], ends[1]) if unit.sign == 1 else (ends[1], ends[0])


def _quadrants(texts: Texts, unit: Unit, known: Known, used: set[int]) -> tuple[QuadrantShown, ...]:
    index = texts.index
    if not index.manifest.options.quadrants:
        return ()
    quadrants = index.quadrants(unit.cell)
    n_all = max(sum(one.n_positions for one in quadrants), 1)
    found = []
    for one in quadrants:
        examples: tuple[Example, ...] = ()
        if one.gate * one.up == unit.sign and one.n_positions > LEAST_OF_QUADRANT * n_all:
            starts = index.text.sentence_start
            of_tokens = {int(starts[t.sentence_id]) + t.position: unit.sign * t.coefficient for t in one.triggers}
            tokens = np.array([*of_tokens], dtype=np.int64)
            naming = tokens[texts.halves.is_in("naming", tokens)].tolist()
            chosen = one_a_document(texts, naming, N_OF_QUADRANT, used)
            examples = tuple(_example(texts, known, token, of_tokens[token]) for token in chosen)
        found.append(QuadrantShown(one.name, one.n_positions, examples))
    return tuple(found)

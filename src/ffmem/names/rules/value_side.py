"""Whether what a value promotes follows where its unit fires more often than where it does not, on the same last token."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ffmem.names.rules.confidence import ends, resampled_shares
from ffmem.names.rules.firing import Firing
from ffmem.names.rules.text import Text

N_PROMOTED = 10
"""Promoted tokens that count as what a value says."""
_FEWEST_HITS = 3


@dataclass(frozen=True)
class ValueSide:
    """For each unit of a block, of firing positions that a token follows; NaN where there are none."""

    share: np.ndarray
    """How often one of the first promoted tokens follows."""
    expected: np.ndarray
    """How often one follows positions of the same last tokens at which the unit does not fire."""
    low: np.ndarray
    """Lower end of share / expected."""

    @property
    def holds(self) -> np.ndarray:
        """(units,) whether the value side belongs to the name."""
        holds: np.ndarray = np.nan_to_num(self.low) > 1
        return holds


@dataclass(frozen=True)
class Pairs:
    """How often which token follows which, in a text."""

    text: Text

    @cached_property
    def next_token(self) -> np.ndarray:
        """(n,) the token after each position, -1 at the end of a sentence."""
        return self.text.next_tokens()

    @cached_property
    def _counted(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        text, following = self.text, self.next_token
        here = np.flatnonzero(text.competes & (following >= 0))
        n = len(text.token_ids)
        keys, counts = np.unique(text.token[here].astype(np.int64) * n + following[here], return_counts=True)
        return keys, counts, np.bincount(text.token[here], minlength=n)

    def following(self, token: np.ndarray) -> np.ndarray:
        """Positions of each token that another one follows."""
        n: np.ndarray = self._counted[2][token]
        return n

    def followed_by(self, token: np.ndarray, by: np.ndarray) -> np.ndarray:
        """Positions of each token that a certain one (-1: none) follows."""
        keys, counts, _ = self._counted
        wanted = token.astype(np.int64) * len(self.text.token_ids) + by
        place = np.minimum(np.searchsorted(keys, wanted), max(len(keys) - 1, 0))
        if not len(keys):
            return np.zeros(wanted.shape, dtype=np.int64)
        return np.where((by >= 0) & (keys[place] == wanted), counts[place], 0)


def value_side(pairs: Pairs, where: Firing, promoted: np.ndarray, draws: np.ndarray) -> ValueSide:
    """What follows where units fire.

    Args:
        pairs: of the text.
        where: firing positions, of both halves: nothing is learnt from the text here, so all of it may judge.
        promoted: (units, `N_PROMOTED`) numbers of the promoted tokens, -1 for those that do not occur.
        draws: (documents, resamples) how often each document counts.
    """
    text = pairs.text
    following = pairs.next_token[where.token]
    here = np.flatnonzero(following >= 0)
    unit, token, weight = where.unit[here], text.token[where.token[here]], where.weight[here]
    hit = (promoted[unit] == following[here, None]).any(1)
    # by unit and last token: the text's counts, less those at which the unit is thought to fire
    keys, of_entry = np.unique(unit * len(text.token_ids) + token, return_inverse=True)
    units, tokens = keys // max(len(text.token_ids), 1), keys % max(len(text.token_ids), 1)
    n = pairs.following(tokens).astype(np.float64)
    n_hits = pairs.followed_by(tokens[:, None], promoted[units]).sum(1).astype(np.float64)
    fires = np.bincount(of_entry, weight, minlength=len(keys))
    fires_hits = np.bincount(of_entry, weight * hit, minlength=len(keys))
    rest, rest_hits = n - fires, np.maximum(n_hits - fires_hits, 0)
    known = rest >= 1
    chance = np.divide(np.minimum(rest_hits, rest), rest, out=np.zeros(len(keys)), where=known)
    part, base, whole = np.zeros(len(where)), np.zeros(len(where)), np.zeros(len(where))
    counted = known[of_entry]
    part[here], base[here], whole[here] = weight * hit * counted, weight * chance[of_entry], weight * counted
    return _compared(text, where, part, base, whole, draws)


def _compared(
    text: Text, where: Firing, part: np.ndarray, base: np.ndarray, whole: np.ndarray, draws: np.ndarray
) -> ValueSide:
    total = where.summed(whole)

    def share(of: np.ndarray) -> np.ndarray:
        one: np.ndarray = np.divide(where.summed(of), total, out=np.full(where.n_units, np.nan), where=total > 0)
        return one

    found, expected = share(part), share(base)
    enough = where.summed(part > 0) >= _FEWEST_HITS
    low = np.full(where.n_units, np.nan)
    units = enough & (np.nan_to_num(found) > np.nan_to_num(expected))
    if units.any():
        kept = units[where.unit]
        some = where.some(units)
        floor = 1.0 / np.maximum(total, 1.0)[some.unit]  # what was never seen is not impossible
        ratio = resampled_shares(text, some, part[kept], base[kept] + floor * whole[kept], draws)
        low = np.where(units, ends(ratio)[0], np.nan)
    return ValueSide(found, expected, low)

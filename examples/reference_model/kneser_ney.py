"""Interpolated Kneser-Ney with three discounts an order (Chen & Goodman 1999, section 3), for trigrams or any other order."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

Context = tuple[int, ...]


@dataclass
class _Order:
    """What one order of the model knows."""

    counts: dict[Context, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    """How often a word follows a context (in lower orders: after how many different words the two stand)."""
    discounts: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """What is taken from counts of 1, of 2, and of more."""
    totals: dict[Context, tuple[int, float]] = field(default_factory=dict)
    """Sum of a context's counts, and the sum of what is taken from them."""


class KneserNey:
    """A language model of words by number.

    Args:
        sequences: texts as word numbers, each with its start mark before it.
        n_words: size of the vocabulary; every word of it has a probability.
        order: 3 for trigrams.
    """

    def __init__(self, sequences: Iterable[Sequence[int]], n_words: int, order: int = 3) -> None:
        self.n_words, self.order = n_words, order
        self._orders = [_Order() for _ in range(order)]
        highest = self._orders[-1].counts
        starts: list[set[tuple[int, ...]]] = [set() for _ in range(order)]
        for words in sequences:
            for at in range(1, len(words)):
                for length in range(order):
                    if at - length < 0:
                        break
                    context = tuple(words[at - length : at])
                    # a context cut short by the text's beginning has no word before it to count: it counts itself
                    if length == order - 1:
                        highest[context][words[at]] += 1
                    elif at - length == 0:
                        self._orders[length].counts[context][words[at]] += 1
                    else:
                        starts[length].add((*words[at - length - 1 : at], words[at]))
        for length in range(order - 1):
            for _, *context, word in starts[length]:
                self._orders[length].counts[tuple(context)][word] += 1
        for one in self._orders:
            _settle(one)

    def probability(self, word: int, context: Sequence[int]) -> float:
        """Of a word after the last words of a context."""
        found = 1.0 / self.n_words
        for length, one in enumerate(self._orders):
            if length > len(context):
                break
            key = tuple(context[len(context) - length :])
            if key not in one.totals:
                break
            total, taken = one.totals[key]
            count = one.counts[key][word]
            own = max(count - one.discounts[min(count, 3) - 1], 0.0) if count else 0.0
            found = own / total + taken / total * found
        return found


def _settle(one: _Order) -> None:
    of_count = Counter(n for followers in one.counts.values() for n in followers.values())
    n1, n2, n3, n4 = (of_count[n] for n in (1, 2, 3, 4))
    if n1 and n2 and n3:
        share = n1 / (n1 + 2 * n2)
        one.discounts = (1 - 2 * share * n2 / n1, 2 - 3 * share * n3 / n2, 3 - 4 * share * n4 / n3)
    else:
        one.discounts = (0.5, 0.75, 1.0)
    for context, followers in one.counts.items():
        taken = sum(min(one.discounts[min(n, 3) - 1], n) for n in followers.values())
        one.totals[context] = (sum(followers.values()), taken)

"""What the study finds at each place of both stacks, and how what it found is compared word by word."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered
from ffmem.studies.results import Findings, Results

TEXT = "text"
"""The experiment on the text alone, and on the model as it is."""
PLACE = "place-"
"""What the names of the experiments on a place begin with."""
TRAINED, NORMS, IDENTITY, UNIFORM, SHUFFLED = "trained", "norms", "identity", "uniform", "shuffled"
"""What is read at a place: with W and the mix of maps trained; with W trained, and one map by norms; with W = I, and that map;
and the controls: with W trained, and the same weight for all tokens; as the first, of a source whose tokens changed places."""
OWN, UNIGRAM = "own", "unigram"
"""The model's own predictions; and the commonest tokens of the training text at every place."""
_NEAR = 5


@dataclass(frozen=True)
class Scores:
    """How often the word of the translation is found."""

    acc1: Estimate
    acc5: Estimate
    mrr: Estimate
    """Mean of 1 / rank, ranks from 1."""


@dataclass(frozen=True)
class TextResult:
    """The text, and what is known of it without any place."""

    n_train: int
    n_learned: int
    n_learned_tokens: int
    n_test: int
    n_counted: int
    n_rare: int
    """Tokens of the test pairs that are not counted."""
    n_repeated: int
    n_long: int
    places: tuple[str, ...]
    """The encoder's, then the decoder's, from the embeddings up."""
    n_encoder: int
    """How many of them are the encoder's."""
    maps: tuple[str, ...]
    """Cross-attention heads, in the order of shares."""
    norms_layer: str
    """Whose norms are the map that is not trained."""
    own: Scores
    unigram: Scores

    @property
    def encoder(self) -> tuple[str, ...]:
        """Places of the encoder."""
        return self.places[: self.n_encoder]

    @property
    def decoder(self) -> tuple[str, ...]:
        """Places of the decoder."""
        return self.places[self.n_encoder :]


@dataclass(frozen=True)
class PlaceResult:
    """What is found at one place; what is found at each token lies beside it as arrays."""

    place: str
    scores: dict[str, Scores]
    """By what is read; of what is trained with several seeds, the mean of all."""
    by_seed: tuple[float, ...]
    """acc@1 of `TRAINED`, for each seed."""
    shares: tuple[tuple[float, ...], ...]
    """Of each map in the mix, for each seed; none in the decoder."""


def scores_of(ranks: Sequence[Int64[np.ndarray, "tokens"]], documents: Int64[np.ndarray, "tokens"]) -> Scores:
    """Of ranks from 0, with several seeds of all of them.

    Args:
        ranks: of each seed.
        documents: the pair of each token.
    """
    at = Words(documents)
    values = (hits(ranks, 1), hits(ranks, _NEAR), np.mean([1 / (one + 1) for one in ranks], axis=0))
    return Scores(*(at.mean(one).estimate for one in values))


def hits(ranks: Sequence[Int64[np.ndarray, "tokens"]], n: int = 1) -> Float[np.ndarray, "tokens"]:
    """Whether the word is among the first n; with several seeds, the share of those with which it is."""
    found: np.ndarray = np.mean([one < n for one in ranks], axis=0)
    return found


class Words:
    """The words that are counted, ready to be summed by pair.

    Args:
        documents: the pair of each.
    """

    def __init__(self, documents: Int64[np.ndarray, "tokens"]) -> None:
        self._groups, self._n_groups = numbered(documents)

    def mean(self, values: Float[np.ndarray, "tokens"]) -> Uncertain:
        """Of a number of each word; intervals by drawing pairs."""
        return mean_ratio(Sums.of(values, self._groups, self._n_groups))

    def difference(self, more: Float[np.ndarray, "tokens"], less: Float[np.ndarray, "tokens"]) -> Uncertain:
        """The mean of one number of each word less another."""
        return mean_ratio(Sums.of(more - less, self._groups, self._n_groups).differences)


class Compared:
    """acc@1 of whatever was read, word by word.

    Args:
        findings: of the study.
    """

    def __init__(self, findings: Findings) -> None:
        self._results = Results(findings.folder, findings.header)
        self._text = self._results.load_arrays(TEXT)
        self._words = Words(np.array(self._text["document"]))

    def of(self, place: str, what: str = TRAINED) -> Float[np.ndarray, "tokens"]:
        """What was read at a place."""
        return np.array(self._results.load_arrays(f"{PLACE}{place}")[what], dtype=np.float64)

    def beside(self, what: str) -> Float[np.ndarray, "tokens"]:
        """Of `OWN` and `UNIGRAM`."""
        return np.array(self._text[what], dtype=np.float64)

    def mean(self, values: Float[np.ndarray, "tokens"]) -> Uncertain:
        """Of a number of each word."""
        return self._words.mean(values)

    def difference(self, more: Float[np.ndarray, "tokens"], less: Float[np.ndarray, "tokens"]) -> Uncertain:
        """The mean of one number of each word less another."""
        return self._words.difference(more, less)


def text_in(findings: Findings) -> TextResult:
    """What is known without any place."""
    return findings.get(TEXT, TextResult)


def at(findings: Findings, place: str) -> PlaceResult:
    """What was found at a place."""
    return findings.get(f"{PLACE}{place}", PlaceResult)


def is_there(findings: Findings) -> bool:
    """Whether every place is done."""
    return TEXT in findings.values and all(f"{PLACE}{one}" in findings.values for one in text_in(findings).places)


def sample(findings: Findings) -> str:
    """How much it was measured on."""
    text = text_in(findings)
    return (
        f"{text.n_counted:,} tokens of the translations of {text.n_test:,} test pairs; probes learned from "
        f"{text.n_learned_tokens:,} tokens of {text.n_learned:,} training pairs; intervals by drawing pairs"
    )


def points(found: Uncertain) -> str:
    """A difference of shares with its interval, in points."""
    low, high = found.interval()
    ends = "" if np.isnan(low) else f" ({100 * low:+.1f} to {100 * high:+.1f})"
    return f"{100 * found.value:+.1f} points{ends}"

"""Statistical aligners to compare with: those of the package sil-thot, which the extra `alignment` brings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal, get_args

from ffmem.analyses.alignment.links import Link
from ffmem.analyses.alignment.pairs import Pair
from ffmem.errors import InputError
from ffmem.extras import extra_module

Method = Literal["eflomal", "fast_align"]
"""eflomal: a Bayesian model of words, jumps and fertilities, sampled (Östling & Tiedemann 2016); fast_align: IBM model 2 with a
diagonal prior (Dyer et al. 2013), the paper's weaker baseline. Each as sil-thot has written it anew."""

_FAST_ALIGN_ITERATIONS = 5
"""As its authors have it."""


@dataclass(frozen=True)
class LearnedLinks:
    """What an aligner finds, for each pair."""

    method: Method
    forward: tuple[frozenset[Link], ...]
    """At most one link for each target word."""
    symmetrised: tuple[frozenset[Link], ...]
    """Both directions together, by grow-diag-final-and (Koehn et al. 2003)."""


def is_installed() -> bool:
    """Whether the extra is there."""
    return find_spec("thot") is not None


def require(what: str) -> None:
    """Refuse to go on without the extra.

    Args:
        what: what cannot be done without it, for the message.
    """
    _thot(what)


def learn_links(
    pairs: Sequence[Pair],
    more: Sequence[Pair] = (),
    *,
    method: Method = "eflomal",
    seed: int = 1,
    on_round: Callable[[int, int], None] = lambda _done, _all: None,
) -> LearnedLinks:
    """The links of an aligner that learns from these pairs and others, lower-cased, without any gold links.

    Args:
        pairs: what is aligned.
        more: further pairs to learn from.
        method: see `Method`.
        seed: of eflomal's samples, which are drawn in an order that threads do not change.
        on_round: called with the rounds that are done, and how many there are.

    Raises:
        InputError: the extra is not installed, or there is no such method.
    """
    if method not in get_args(Method):
        raise InputError(f"the aligner is {method!r}", f"Expected one of: {', '.join(get_args(Method))}", "Use eflomal")
    thot = _thot("links cannot be learned")
    both = [[_lower(pair.source), _lower(pair.target)] for pair in (*pairs, *more)]
    models, listeners = [], (lambda n, of: on_round(n, 2 * of), lambda n, of: on_round(of + n, 2 * of))
    for turned, listener in zip((False, True), listeners, strict=True):
        models.append(_train(thot, method, [pair[::-1] if turned else pair for pair in both], seed, listener))
    both_ways = thot.SymmetrizedAligner(*models)
    both_ways.heuristic = thot.SymmetrizationHeuristic.GROW_DIAG_FINAL_AND
    own = both[: len(pairs)]
    return LearnedLinks(
        method,
        tuple(_links(models[0], source, target) for source, target in own),
        tuple(_links(both_ways, source, target) for source, target in own),
    )


def _train(
    thot: Any, method: Method, pairs: list[list[list[str]]], seed: int, on_round: Callable[[int, int], None]
) -> Any:
    if method == "fast_align":
        model, n_rounds = thot.FastAlignModel(), _FAST_ALIGN_ITERATIONS
    else:
        model, n_rounds = thot.EflomalAlignmentModel(), 0
        model.seed, model.deterministic = seed, True
    for source, target in pairs:
        model.add_sentence_pair(source, target, 1)
    model.start_training()
    n_rounds = n_rounds or model.scheduled_iterations  # it depends on how much text there is
    for number in range(n_rounds):
        model.train()
        on_round(number + 1, n_rounds)
    model.end_training()
    return model


def _links(model: Any, source: list[str], target: list[str]) -> frozenset[Link]:
    _, matrix = model.get_best_alignment(source, target)
    return frozenset((int(i), int(j)) for i, j in zip(*matrix.to_numpy().nonzero(), strict=True))


def _lower(words: Sequence[str]) -> list[str]:
    return [word.lower() for word in words]


def _thot(what: str) -> Any:
    return extra_module("thot.alignment", "alignment", what)

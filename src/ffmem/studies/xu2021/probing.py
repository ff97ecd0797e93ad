"""The experiments: the text and the model as it is, then each place of both stacks."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
from jaxtyping import Int64
from torch import Tensor

from ffmem.analyses.translation.probe import IDENTITY as AS_IT_IS
from ffmem.analyses.translation.probe import Probe, ranks, train
from ffmem.analyses.translation.rows import Rows, fixed_rows, layer_of_highest_norm, mixed_rows, target_rows
from ffmem.analyses.translation.states import SeenPair
from ffmem.studies.study import Experiment, Stage, StageListener
from ffmem.studies.xu2021.context import Xu2021
from ffmem.studies.xu2021.findings import (
    IDENTITY,
    NORMS,
    OWN,
    PLACE,
    SHUFFLED,
    TEXT,
    TRAINED,
    UNIFORM,
    UNIGRAM,
    PlaceResult,
    TextResult,
    hits,
    scores_of,
)

Ranks = Int64[np.ndarray, "tokens"]
_OF_SHUFFLING = (17, 18)
"""Seeds of the order of the tokens of sources: of pairs to learn from, and to test on."""


def place_names(study: Xu2021) -> tuple[list[str], list[str]]:
    """Of the encoder and of the decoder: embeddings, then layers."""
    layers = study.model.facts.layers
    encoder = [one.name for place, one in enumerate(layers) if study.model.stack_of(place) == 0]
    decoder = [one.name for place, one in enumerate(layers) if study.model.stack_of(place) == 1]
    return ["enc.embeddings", *encoder], ["dec.embeddings", *decoder]


def experiments(study: Xu2021) -> Iterator[Experiment[Xu2021]]:
    """That on the text, then one for each place."""
    yield Experiment(TEXT, TextResult, _text)
    encoder, decoder = place_names(study)
    for number, name in enumerate(encoder):
        yield Experiment(f"{PLACE}{name}", PlaceResult, partial(_encoder_place, name, number))
    for number, name in enumerate(decoder):
        yield Experiment(f"{PLACE}{name}", PlaceResult, partial(_decoder_place, name, number))


def _text(study: Xu2021, _: StageListener) -> TextResult:
    drawn, (encoder, decoder) = study.drawn, place_names(study)
    counted = drawn.is_counted(study.options.seen)
    documents = drawn.documents[counted]
    last = target_rows(study.tested, len(decoder) - 1)
    own = _counted(study, ranks(study.head, last, _targets(study.tested), AS_IT_IS))
    unigram = unigram_ranks(drawn.counts)[drawn.test_tokens][counted]
    study.results.save_arrays(TEXT, {"document": documents, OWN: hits([own]), UNIGRAM: hits([unigram])})
    cross = [layer for layer in study.model.attention_layers if layer.cross]
    return TextResult(
        n_train=drawn.n_train,
        n_learned=len(drawn.train),
        n_learned_tokens=sum(len(one.target_ids) for one in drawn.train),
        n_test=len(drawn.test),
        n_counted=int(counted.sum()),
        n_rare=int((~counted).sum()),
        n_repeated=drawn.n_repeated,
        n_long=drawn.n_long,
        places=(*encoder, *decoder),
        n_encoder=len(encoder),
        maps=tuple(f"{layer.name}.H{head}" for layer in cross for head in range(layer.n_heads)),
        norms_layer=cross[layer_of_highest_norm(study.learned)].name,
        own=scores_of([own], documents),
        unigram=scores_of([unigram], documents),
    )


def unigram_ranks(counts: Int64[np.ndarray, "d_vocab"]) -> Int64[np.ndarray, "d_vocab"]:
    """The rank of each token by how common it is, from 0; of equally common ones the smaller id comes first."""
    found = np.empty(len(counts), dtype=np.int64)
    found[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return found


def _encoder_place(name: str, place: int, study: Xu2021, listen: StageListener) -> PlaceResult:
    learned, tested, layer = study.learned, study.tested, layer_of_highest_norm(study.learned)
    fits = _Fits(study, name, listen, n_fits=len(study.seeds) + 3)
    norms = [fixed_rows(pairs, place, "norms", layer) for pairs in (learned, tested)]
    of_seeds = [fits.trained(mixed_rows(learned, place), seed) for seed in study.seeds]
    mixed = mixed_rows(tested, place)
    shuffled = [mixed_rows(p, place, shuffled=seed) for p, seed in zip((learned, tested), _OF_SHUFFLING, strict=True)]
    uniform = [fixed_rows(pairs, place, "uniform") for pairs in (learned, tested)]
    first = study.seeds[0]
    found = {
        TRAINED: [fits.ranks(mixed, probe) for probe in of_seeds],
        NORMS: [fits.ranks(norms[1], fits.trained(norms[0], first))],
        IDENTITY: [fits.ranks(norms[1], AS_IT_IS)],
        UNIFORM: [fits.ranks(uniform[1], fits.trained(uniform[0], first))],
        SHUFFLED: [fits.ranks(shuffled[1], fits.trained(shuffled[0], first))],
    }
    shares = [probe.shares for probe in of_seeds if probe.shares is not None]
    return fits.result(found, tuple(tuple(float(share) for share in one) for one in shares))


def _decoder_place(name: str, place: int, study: Xu2021, listen: StageListener) -> PlaceResult:
    fits = _Fits(study, name, listen, n_fits=len(study.seeds))
    learned, tested = (target_rows(pairs, place) for pairs in (study.learned, study.tested))
    found = {
        TRAINED: [fits.ranks(tested, fits.trained(learned, seed)) for seed in study.seeds],
        IDENTITY: [fits.ranks(tested, AS_IT_IS)],
    }
    return fits.result(found, ())


class _Fits:
    """What is trained at one place, and tested.

    Args:
        study: what the experiments share.
        name: of the place.
        listen: told of the progress.
        n_fits: how many probes are trained.
    """

    def __init__(self, study: Xu2021, name: str, listen: StageListener, n_fits: int) -> None:
        self._study, self._name, self._listen, self._n_fits = study, name, listen, n_fits
        self._done = 0
        self._last = target_rows(study.learned, len(study.learned[0].target) - 1)

    def trained(self, rows: Rows, seed: int) -> Probe:
        """A probe of what is read, of pairs to learn from."""
        study = self._study
        probe = train(study.head, rows, _targets(study.learned), self._last, seed=seed)
        self._done += 1
        self._listen(Stage(f"{PLACE}{self._name}", self._done, self._n_fits))
        return probe

    def ranks(self, rows: Rows, probe: Probe) -> Ranks:
        """The ranks of the words that are counted, of pairs to test on."""
        study = self._study
        return _counted(study, ranks(study.head, rows, _targets(study.tested), probe))

    def result(self, found: dict[str, list[Ranks]], shares: tuple[tuple[float, ...], ...]) -> PlaceResult:
        """Scores; and what was found at each word, kept as arrays."""
        drawn = self._study.drawn
        documents = drawn.documents[drawn.is_counted(self._study.options.seen)]
        arrays = {what: hits(of_seeds) for what, of_seeds in found.items()}
        self._study.results.save_arrays(f"{PLACE}{self._name}", arrays)
        scores = {what: scores_of(of_seeds, documents) for what, of_seeds in found.items()}
        by_seed = tuple(float(hits([one]).mean()) for one in found[TRAINED])
        return PlaceResult(self._name, scores, by_seed, shares)


def _targets(pairs: Sequence[SeenPair]) -> list[Tensor]:
    return [one.targets for one in pairs]


def _counted(study: Xu2021, found: Ranks) -> Ranks:
    counted: np.ndarray = found[study.drawn.is_counted(study.options.seen)]
    return counted

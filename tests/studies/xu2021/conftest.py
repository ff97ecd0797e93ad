"""A study of the model that copies, with its control; and one that is made up, word by word."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from ffmem.analyses.intervals import Estimate
from ffmem.studies.results import Findings, Results
from ffmem.studies.runner import run_study
from ffmem.studies.study import Subject
from ffmem.studies.xu2021.findings import OWN, PLACE, TEXT, UNIGRAM, PlaceResult, Scores, TextResult
from ffmem.studies.xu2021.options import TranslationOptions
from ffmem.studies.xu2021.study import STUDY
from tests.studies.xu2021.planted import copier, sentences, write

Made = Callable[[Mapping[str, Mapping[str, float]]], Findings]
N_PAIRS, N_WORDS = 80, 10


@pytest.fixture(scope="session")
def options(tmp_path_factory: pytest.TempPathFactory) -> TranslationOptions:
    folder = tmp_path_factory.mktemp("copied")
    train, test = sentences(220, 0), sentences(30, 1)
    return TranslationOptions(
        source=write(folder / "test", test), target=write(folder / "test.copy", test),
        train_source=write(folder / "train", train), train_target=write(folder / "train.copy", train),
        train_pairs=200, test_pairs=25,
    )  # fmt: skip


@pytest.fixture(scope="session")
def copied(options: TranslationOptions, tmp_path_factory: pytest.TempPathFactory) -> Results:
    return run_study(STUDY, Subject(copier, tmp_path_factory.mktemp("results") / "copied"), options)


def _scores(share: float) -> Scores:
    one = Estimate(share, share - 0.05, share + 0.05, N_PAIRS * N_WORDS)
    return Scores(one, one, one)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A study in which each of 80 pairs has ten words, read at each place, by each way of reading, with these accuracies.

    Whether a word is hit is drawn for each pair together: what pairs have in common is in all places alike.
    """

    def make(shares: Mapping[str, Mapping[str, float]]) -> Findings:
        header = {"study": "xu2021", "key": "made", "options": {"seen": 20, "seed": 0, "train_source": "train.de"}}
        header |= {"index": {"model": {"name": "made"}, "corpus": {"name": "pairs"}}}
        results = Results(tmp_path, header)
        hard = np.random.default_rng(0).random(N_PAIRS * N_WORDS)
        documents = np.repeat(np.arange(N_PAIRS), N_WORDS)
        places = [one for one in shares if one != TEXT]
        n_encoder = sum(one.startswith("enc") for one in places)
        beside = shares[TEXT]
        results.save_arrays(TEXT, {"document": documents} | {what: 1.0 * (hard < beside[what]) for what in beside})
        values: dict[str, object] = {
            TEXT: TextResult(
                900, 300, 4000, N_PAIRS, len(documents), 7, 2, 1, tuple(places), n_encoder,
                ("dec.L0.cross.H0", "dec.L0.cross.H1", "dec.L1.cross.H0"), "dec.L0.cross",
                _scores(beside[OWN]), _scores(beside[UNIGRAM]),
            )
        }  # fmt: skip
        for place in places:
            results.save_arrays(f"{PLACE}{place}", {what: 1.0 * (hard < one) for what, one in shares[place].items()})
            read = {what: _scores(one) for what, one in shares[place].items()}
            mixes = ((0.5, 0.3, 0.2), (0.7, 0.1, 0.2)) if place.startswith("enc") else ()
            values[f"{PLACE}{place}"] = PlaceResult(place, read, (0.41, 0.42, 0.43), mixes)
        return Findings(header, tmp_path, values)

    return make

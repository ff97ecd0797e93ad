"""What the experiments of the study share: a model that translates, pairs to learn from and to test on, and the results."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int64

from ffmem.analyses.alignment.extract import check_has_cross_attention
from ffmem.analyses.alignment.pairs import Pair
from ffmem.analyses.translation.probe import Head
from ffmem.analyses.translation.states import SeenPair, see
from ffmem.analyses.translation.taught import TaughtPair, teach, token_counts
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.models.controls import as_control
from ffmem.models.transformer import Transformer
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject
from ffmem.studies.xu2021.options import Material, TranslationOptions, read_material

NAME = "xu2021"
SEEDS = (0, 1, 2)
"""Of what is trained; a control has the first."""
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""


@dataclass(frozen=True)
class Drawn:
    """The pairs that are read, as tokens."""

    train: Sequence[TaughtPair]
    test: Sequence[TaughtPair]
    counts: Int64[np.ndarray, "d_vocab"]
    """How often each token stands in the translations of all training pairs."""
    n_train: int
    """All training pairs."""
    n_repeated: int
    """Test pairs that were left out, since the training pairs have them too."""
    n_long: int
    """Drawn pairs that were left out, since they are longer than the model's context."""

    @cached_property
    def test_tokens(self) -> Int64[np.ndarray, "tokens"]:
        """Of the translations of all test pairs, one after another."""
        return np.concatenate([np.array(one.target_ids, dtype=np.int64) for one in self.test])

    @cached_property
    def documents(self) -> Int64[np.ndarray, "tokens"]:
        """The pair that each of these is of."""
        return np.repeat(np.arange(len(self.test)), [len(one.target_ids) for one in self.test])

    def is_counted(self, seen: int) -> Bool[np.ndarray, "tokens"]:
        """Whether each of these is seen often enough in training."""
        found: np.ndarray = self.counts[self.test_tokens] >= seen
        return found


class Xu2021:
    """What the experiments share.

    Args:
        results: where what they find is kept.
        model: an encoder-decoder.
        drawn: what it is taught.
        material: the pairs of the files.
        options: of the study.
        load: loads the model once more, for a control that is made of it.
        seeds: of what is trained.
    """

    def __init__(
        self,
        results: Results,
        model: Transformer,
        drawn: Drawn,
        material: Material,
        options: TranslationOptions,
        load: Callable[[], Transformer],
        seeds: tuple[int, ...] = SEEDS,
    ) -> None:
        self._results, self.model, self.drawn, self.options = results, model, drawn, options
        self._material, self._load, self.seeds = material, load, seeds

    @property
    def results(self) -> Results:
        """Where what they find is kept."""
        return self._results

    @cached_property
    def head(self) -> Head:
        """The model's own, frozen."""
        return Head(self.model)

    @cached_property
    def learned(self) -> list[SeenPair]:
        """What the model held of the pairs that are learned from."""
        return see(self.model, self.drawn.train)

    @cached_property
    def tested(self) -> list[SeenPair]:
        """What the model held of the pairs that are tested on."""
        return see(self.model, self.drawn.test)

    def untrained(self, _: StageListener) -> "Xu2021":
        """The same experiments on the model with nothing learned, on the same pairs.

        Raises:
            InputError: it cannot be made of this model.
        """
        for name in ("head", "learned", "tested"):
            self.__dict__.pop(name, None)
        model = as_control(self._load(), "untrained")
        folder = self.results.folder / CONTROLS / "untrained"
        results = _begin_results(folder, model, self._material, self.options, SEEDS[:1], in_folder_itself=False)
        return Xu2021(results, model, self.drawn, self._material, self.options, self._load, SEEDS[:1])


def begin(subject: Subject, options: TranslationOptions, _: StageListener) -> Xu2021:
    """Read the files, load the model, and find the results of earlier runs.

    Raises:
        InputError: the files are not as they are to be, the model has no cross-attention or no head, nothing is left to be
            counted, or the folder has results of something else.
    """
    if subject.corpora:
        raise InputError(
            f"the study {NAME} is given the corpus {subject.corpora[0].name}",
            "Expected none: it reads pairs of sentences from files of its own",
            "Write --source FILE --target FILE --train-source FILE --train-target FILE in its place",
        )
    material = read_material(options)
    model = subject.model()
    check_has_cross_attention(model)
    drawn = draw(model, material, options)
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    results = _begin_results(folder, model, material, options, SEEDS, in_folder_itself=subject.index is None)
    return Xu2021(results, model, drawn, material, options, subject.model)


def draw(model: Transformer, material: Material, options: TranslationOptions) -> Drawn:
    """Some pairs of each kind, at random, in the order of the files.

    Raises:
        InputError: no pair fits the model's context, or no token is seen often enough.
    """
    train, n_long = _some(model, material.train, options.train_pairs, options.seed)
    test, n_long_test = _some(model, material.test, options.test_pairs, options.seed)
    if not train or not test:
        raise InputError(
            f"no {'test' if train else 'training'} pair that was drawn fits the context of {model.facts.name}",
            f"Expected at most {model.facts.max_length:,} tokens on each side, special ones included",
            "Give shorter sentences",
        )
    counts = token_counts(model, material.train)
    drawn = Drawn(train, test, counts, len(material.train), material.n_repeated, n_long + n_long_test)
    if not drawn.is_counted(options.seen).any():
        raise InputError(
            f"no token of the translations that are tested stands in those of the training pairs {options.seen} times",
            "Expected training pairs of the same languages, and enough of them",
            "Give more training pairs, or write --seen 1",
        )
    return drawn


def _some(model: Transformer, pairs: Sequence[Pair], n: int, seed: int) -> tuple[list[TaughtPair], int]:
    numbers = np.sort(np.random.default_rng(seed).permutation(len(pairs))[:n]).tolist()
    taught = [teach(model, pairs[number]) for number in numbers]
    fitting = [one for one in taught if one is not None]
    return fitting, len(taught) - len(fitting)


def _begin_results(
    folder: Path,
    model: Transformer,
    material: Material,
    options: TranslationOptions,
    seeds: tuple[int, ...],
    *,
    in_folder_itself: bool,
) -> Results:
    sha256, chosen = material.hash(), options.to_json()
    paths = {name: chosen.pop(name) for name in ("source", "target", "train_source", "train_target")}
    names = ", ".join(Path(one).name for one in (options.source, options.target) if one)
    header = {
        "study": NAME,
        "index": {
            "model": {"name": model.facts.name, **hashes_of(model)},
            "corpus": {"kind": "pairs", "name": names, "sha256": sha256},
        },
        "options": paths | chosen,
    }
    # paths decide no number: the same pairs may lie in other files
    decides = {
        "study": NAME,
        "model": hashes_of(model),
        "pairs": sha256,
        "options": chosen,
        "seeds": list(seeds),
        "measured": _MEASURED,
    }
    return begin_results(folder, header, decides, in_folder_itself=in_folder_itself)

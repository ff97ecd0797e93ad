"""What the experiments of the study share: an index, its model, its held-out text, and the results."""

from functools import cached_property

from ffmem.analyses.prefixes import Continued, Prefixes, continued_prefixes, held_out_prefixes, prefixes_of_text
from ffmem.corpus.documents import Corpus
from ffmem.models.transformer import Transformer
from ffmem.store.facts import Projection
from ffmem.store.reader import Index
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.held_out import text_of
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import Subject

NAME = "geva2021"
_MEASURED = 3
"""Goes up when experiments keep something else, so that older results are measured anew."""
_VALUE_PROJECTIONS: tuple[Projection, ...] = ("raw", "folded", "adaptive", "final-norm")


class Geva2021:
    """What the experiments share: the index, its model, its held-out text.

    Args:
        index: a finished index.
        options: what is sampled.
        subject: where the model comes from.
        held_out: a corpus instead of the index's own held-out documents, ready to be read.
        study: whose held-out text is taken, for a control of it.
    """

    def __init__(
        self,
        index: Index,
        options: StudyOptions,
        subject: Subject,
        held_out: Corpus | None = None,
        study: "Geva2021 | None" = None,
    ) -> None:
        self.index, self.options, self.subject = index, options, subject
        self.index_options = index.manifest.options
        self._corpus, self._study = held_out, study
        self.results = _results(index, options, held_out)

    @cached_property
    def model(self) -> Transformer:
        """The model of the index, loaded when the first experiment asks for it."""
        return self.subject.model()

    @cached_property
    def prefixes(self) -> Prefixes:
        """The random prefixes of held-out text."""
        return self._drawn(self.options.prefixes)

    def _drawn(self, n: int) -> Prefixes:
        seed = self.options.seed
        if self._study is not None:
            return self._study._drawn(n)
        if self._corpus is None:
            return held_out_prefixes(self.index, n, seed=seed)
        text = text_of(self._corpus, self.model, self.index_options, self.results.folder)
        return prefixes_of_text(text, 0, text.n_all_sentences, n, seed=seed)

    @cached_property
    def continued(self) -> Continued:
        """Random prefixes of held-out text that a token follows; those of a control are some of the study's own."""
        return self._continued(self.options.removed_prefixes)

    def _continued(self, n: int) -> Continued:
        if self._study is not None:
            return self._study._continued(n)
        if self._corpus is None:
            text, first = self.index.text, self.index.text.n_sentences
        else:
            text, first = text_of(self._corpus, self.model, self.index_options, self.results.folder), 0
        return continued_prefixes(text, first, text.n_all_sentences, n, seed=self.options.seed)

    @property
    def predicts(self) -> bool:
        """Whether the model predicts the next token of a text, which all but the patterns and the accounting need."""
        return self.index.manifest.model.predicts_next_token

    @property
    def value_projections(self) -> tuple[Projection, ...]:
        """Those that values are read by; the index's own first."""
        own: Projection = self.index.manifest.projection
        all_there_are = self.index.manifest.model.projections
        return (own, *(one for one in _VALUE_PROJECTIONS if one in all_there_are and one != own))


def _results(index: Index, options: StudyOptions, held_out: Corpus | None) -> Results:
    """An index is what its files hold; a held-out text is what its identity says, wherever it lies."""
    identity = None if held_out is None else held_out.identity()
    chosen = options.to_json()
    return begin_results(
        index.folder / FOLDER,
        {"study": NAME, "index": index.manifest.identity.json, "options": chosen, "held_out": identity},
        {
            "index": index.manifest.json["files"],
            "options": chosen | {"held_out": None},
            "held_out": identity,
            "measured": _MEASURED,
        },
    )

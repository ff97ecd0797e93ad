"""What the experiments of the study share: an index, its model, the sentences that become points, the results."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from jaxtyping import Bool

from ffmem.analyses.geometry.halves import halves_of
from ffmem.analyses.geometry.sentences import Sentences, sentences_of
from ffmem.analyses.intervals import numbered
from ffmem.errors import InputError
from ffmem.models.controls import ControlKind, as_control
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject
from ffmem.studies.valeriani2023.options import GeometryOptions

NAME = "valeriani2023"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""


class Valeriani2023:
    """What the experiments share.

    Args:
        index: a finished index, for its text and what its documents are about.
        options: how many points.
        subject: where the model comes from.
        control: what this is instead of the model, and the study that it is a control of. It has all of the points: a
            dimension depends on how many there are.
    """

    def __init__(
        self,
        index: Index,
        options: GeometryOptions,
        subject: Subject,
        control: "tuple[ControlKind, Valeriani2023] | None" = None,
    ) -> None:
        self.index, self.options, self.bos = index, options, index.manifest.options.bos
        self._subject, self._control = subject, control
        self.results = self._begin_results()

    @cached_property
    def model(self) -> Transformer:
        """The model of the index, or the control that is made of it, loaded when the first experiment asks for it."""
        model = self._subject.model()
        if self._control is None:
            return model
        batching, control = model.batching, as_control(model, self._control[0])
        control.adopt(batching)
        return control

    @cached_property
    def sentences(self) -> Sentences:
        """What becomes points; the same of a control."""
        if self._control is not None:
            return self._control[1].sentences
        return sentences_of(self.index.text, self.options.points, seed=self.options.seed)

    @cached_property
    def groups(self) -> tuple[np.ndarray, int]:
        """The document of each sentence as a number, and how many there are: what is drawn together."""
        return numbered(self.sentences.document)

    @cached_property
    def halves(self) -> Bool[np.ndarray, "halves n"]:
        """Halves of the documents, the same for every cloud of the study and of its controls."""
        return halves_of(*self.groups, seed=self.options.seed)

    def release(self) -> None:
        """Give the memory of the model back; it is loaded again if it is asked for."""
        self.__dict__.pop("model", None)

    def as_control(self, kind: ControlKind) -> "Valeriani2023":
        """The same experiments on a control.

        Raises:
            InputError: it cannot be made of this model.
        """
        if self.index.manifest.options.quantize != "no":
            raise InputError(
                f"the weights of {self.index.manifest.model.name} are packed, so that {kind}:... cannot be made of them",
                "Expected plain weights",
                "Index the model without --quantize",
            )
        self.release()
        return Valeriani2023(self.index, self.options, self._subject, (kind, self))

    def _begin_results(self) -> Results:
        """An index is what its files hold, wherever it lies."""
        folder, identity = self.index.folder / FOLDER, self.index.manifest.identity.json
        chosen, kind = self.options.to_json(), None
        if self._control is not None:
            kind, study = self._control
            folder = study.results.folder / CONTROLS / kind
            identity = {**identity, "model": {**identity["model"], "name": f"{kind}:{identity['model']['name']}"}}
        return begin_results(
            folder,
            {"study": NAME, "index": identity, "options": chosen},
            {
                "study": NAME,
                "index": self.index.manifest.json["files"],
                "options": chosen,
                "control": kind,
                "measured": _MEASURED,
            },
        )


def begin(subject: Subject, options: GeometryOptions, _: StageListener) -> Valeriani2023:
    """From an index and options to what the experiments share.

    Raises:
        InputError: there is no index, it is of some cells alone, or of too little text.
    """
    index = subject.index
    if index is None:
        raise InputError(
            f"the study {NAME} is given no index",
            "Expected an index, for its text and what its documents are about",
            "Make one: ffmem index MODEL CORPUS --out FOLDER",
        )
    index = index.without_dictionaries()
    index.check_whole("a study of the vectors of all coefficients")
    shared = Valeriani2023(index, options, subject)
    shared.sentences  # noqa: B018 (that there is too little text is found out before the first experiments)
    return shared


def control_of(kind: ControlKind) -> Callable[[Valeriani2023, StageListener], Valeriani2023]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)

"""What the experiments of the study share."""

from collections.abc import Callable, Mapping
from typing import ClassVar

import numpy as np

from ffmem.analyses.updates.universal import same_tokens
from ffmem.errors import InputError
from ffmem.index.indexed_model import load_indexed_model
from ffmem.json_values import JsonObject
from ffmem.models.controls import ControlKind
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.store.reader import Index, open_index
from ffmem.studies.on_held_out import OnHeldOut
from ffmem.studies.study import StageListener, Subject
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions

NAME = "sukhbaatar2019"


class Sukhbaatar2019(OnHeldOut):
    """See `OnHeldOut`; and the index of a model with other cells, beside it."""

    name: ClassVar[str] = NAME
    about: ClassVar[str] = "a study of memories in the softmax of attention"
    measured: ClassVar[int] = 1
    of_control: ClassVar[Mapping[str, int]] = {"positions": 1500}
    options: SoftmaxOptions

    def __init__(self, subject: Subject, options: SoftmaxOptions) -> None:
        if subject.index is not None and subject.index.manifest.model.activation != "softmax":
            facts = subject.index.manifest.model
            raise InputError(
                f"the cells of {facts.name} are {facts.activation}, no memories of a softmax",
                f"Expected an index of a model with memories in its attention, which the study {NAME} is about",
                "Train one as docs/how-to/softmax-memories.md says, and give the index of this one with --beside",
            )
        self.beside: Index | None = (
            None if options.beside is None else open_index(options.beside).without_dictionaries()
        )
        super().__init__(subject, options)
        if self.beside is not None:
            self.beside.check_whole(self.about)
            _check_same_text(self.index, self.beside)

    def also_decides(self) -> JsonObject:
        """See `OnHeldOut`: the index beside. Further models go by their names."""
        if self.beside is None:
            return {}
        chosen = self.options.to_json() | {"held_out": None, "beside": None}
        return {"options": chosen, "beside": self.beside.manifest.json["files"]}

    def model_beside(self) -> Transformer:
        """The model of the index beside, loaded anew.

        Raises:
            InputError: it is no longer where it was.
        """
        assert self.beside is not None
        return load_indexed_model(
            self.beside, device=self._subject.device, trust_remote_code=self._subject.trust_remote_code
        )

    def another_model(self, source: str) -> Transformer:
        """A further model, which must read text as the same tokens.

        Raises:
            InputError: it cannot be loaded, or does not.
        """
        trusted = self._subject.trust_remote_code
        other = load_model(source, device=str(self.model.device), trust_remote_code=trusted)
        same_tokens(self.model, other)
        return other


def _check_same_text(index: Index, beside: Index) -> None:
    """Refuse an index beside whose triggers are of another text.

    Raises:
        InputError: its tokens or its sentences differ.
    """
    texts = index.text, beside.text
    same = texts[0].vocabulary == texts[1].vocabulary and texts[0].n_sentences == texts[1].n_sentences
    if same and all(
        np.array_equal(*(getattr(text, name) for text in texts)) for name in ("sentence_start", "token_id")
    ):
        return
    raise InputError(
        f"{beside.folder} holds another text than {index.folder}, or the same in other tokens",
        "Expected the same corpus, cut and held out in the same way, so that triggers can be compared",
        "Index both models with the same command, but for the model and --out",
    )


def begin(subject: Subject, options: SoftmaxOptions, _: StageListener) -> Sukhbaatar2019:
    """From an index and options to what the experiments share.

    Raises:
        InputError: see `OnHeldOut`; and where the model has other cells, or the index beside another text.
    """
    return Sukhbaatar2019(subject, options)


def control_of(kind: ControlKind) -> Callable[[Sukhbaatar2019, StageListener], Sukhbaatar2019]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)

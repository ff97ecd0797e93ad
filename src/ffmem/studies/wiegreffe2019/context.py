"""What the experiments of the study share."""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import ClassVar

import numpy as np
import torch

from ffmem.analyses.diagnostics.maps import MeanMaps, maps_of, mean_maps
from ffmem.analyses.diagnostics.patched import Replacements
from ffmem.analyses.diagnostics.texts import Text, texts_of
from ffmem.analyses.updates.positions import Positions, positions_of_text
from ffmem.models.controls import ControlKind
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.studies.on_held_out import OnHeldOut
from ffmem.studies.study import StageListener, Subject
from ffmem.studies.wiegreffe2019.documents import Documents, documents_of
from ffmem.studies.wiegreffe2019.options import DiagnosticOptions

NAME = "wiegreffe2019"


class Wiegreffe2019(OnHeldOut):
    """See `OnHeldOut`."""

    name: ClassVar[str] = NAME
    about: ClassVar[str] = "a study of what predictions owe to attention weights"
    measured: ClassVar[int] = 1
    of_control: ClassVar[Mapping[str, int]] = {
        "positions": 500, "layer_positions": 60, "heads": 48, "map_texts": 60, "adversary_texts": 4, "guide_documents": 1200,
        "tuning_steps": 30,
    }  # fmt: skip
    of_model: ClassVar[tuple[str, ...]] = ("model", "frozen", "texts", "donors", "documents")
    options: DiagnosticOptions

    @cached_property
    def positions(self) -> Positions:
        """Of held-out text, in whole sentences; a control has those of the study, and reads fewer sentences."""
        if self._control is not None:
            return self._control[1].positions
        return super().positions

    @cached_property
    def texts(self) -> tuple[Text, ...]:
        """The sentences that are asked about, in random order."""
        found = texts_of(self.model, self.positions, self.bos, self.options.length)
        order = np.random.default_rng([self.options.seed, 41]).permutation(len(found))
        return tuple(found[number] for number in order.tolist())

    def some_texts(self, n_positions: int) -> tuple[Text, ...]:
        """The first of them, with so many positions or a few more."""
        so_far = np.cumsum([len(text) for text in self.texts])
        return self.texts[: int(np.searchsorted(so_far, n_positions)) + 1]

    @cached_property
    def frozen(self) -> MeanMaps:
        """The mean map of `donors`."""
        return mean_maps(self.model, [one.ids for one in self.donors], self.options.length)

    @cached_property
    def donors(self) -> tuple[Text, ...]:
        """Indexed sentences, which are none of those that are asked about."""
        text, options = self.index.text, self.options
        mean = -(-len(text.token_id) // text.n_all_sentences)
        other = positions_of_text(text, 0, text.n_sentences, 2 * options.map_texts * mean, seed=options.seed)
        return tuple(texts_of(self.model, other, self.bos, options.length)[: options.map_texts])

    @cached_property
    def documents(self) -> Documents:
        """What the small classifier reads."""
        options = self.options
        return documents_of(self.index.text, options.guide_tokens, options.guide_documents, options.seed)

    def replacements(self, text: Text, number: int) -> Replacements:
        """What may stand in the place of a text's weights."""
        seed = 1_000_003 * self.options.seed + number
        shuffled = text.in_random_order(torch.Generator().manual_seed(seed))
        return Replacements(maps_of(self.model, text.ids), self.frozen, maps_of(self.model, shuffled), seed)

    def sublayers(self) -> list[str]:
        """The names of attention sub-layers."""
        return [one.name for one in self.model.attention_layers]

    def another(self, name: str) -> Transformer:
        """A model that a user named.

        Raises:
            InputError: it cannot be loaded.
        """
        options, trusted = self.index.manifest.options, self._subject.trust_remote_code
        return load_model(name, dtype=options.dtype, device=str(self.model.device), trust_remote_code=trusted)


def begin(subject: Subject, options: DiagnosticOptions, _: StageListener) -> Wiegreffe2019:
    """From an index and options to what the experiments share.

    Raises:
        InputError: see `OnHeldOut`.
    """
    return Wiegreffe2019(subject, options)


def control_of(kind: ControlKind) -> Callable[[Wiegreffe2019, StageListener], Wiegreffe2019]:
    """How a control is made of the study."""
    return lambda shared, _: shared.as_control(kind)

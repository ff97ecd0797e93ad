"""The moments of a training: indexes of its checkpoints over one text, in order."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.errors import InputError
from ffmem.queries.diff import check_same_layers
from ffmem.store.identity import differences
from ffmem.store.reader import Index

_STEP = re.compile(r"(?:step|checkpoint)s?[-_=]?0*(\d+)(?!.*(?:step|checkpoint)s?[-_=]?\d)", re.IGNORECASE)
"""A step in the name of a folder or of a revision: the last one there, of several."""
_NOT_DECIDING = (
    "batch_tokens",
    "shard_tokens",
    "device",
    "promoted",
    "holdout",
    "max_tokens",
    "max_sentences",
    "dtype",
)
"""Options that may differ between moments: they decide neither lists nor statistics, or the text that is compared anyway."""


@dataclass(frozen=True)
class Moment:
    """A checkpoint, indexed."""

    index: Index
    number: int
    """From 0, as they were given."""
    step: int | None
    """Steps of training before it; None if nothing tells."""

    @property
    def name(self) -> str:
        """For people."""
        return f"moment {self.number}" if self.step is None else f"step {self.step:,}"


def moments_of(indexes: Sequence[Index]) -> tuple[Moment, ...]:
    """The moments that some indexes are of, earliest first as given.

    Args:
        indexes: of checkpoints of one training, over the same sentences with the same options.

    Raises:
        InputError: fewer than two, or their models have other shapes, their text or options differ, or the steps that their
            models tell do not rise.
    """
    if len(indexes) < 2:
        raise InputError(
            f"{len(indexes)} index is given" if indexes else "no index is given",
            "Expected the indexes of at least two moments of one training, earliest first",
            "Write: ffmem trace INDEX INDEX ...",
        )
    first = indexes[0]
    for other in indexes[1:]:
        check_same_layers(first, other)
        _check_same_text(first, other)
        _check_same_options(first, other)
    moments = tuple(Moment(index, number, step_of(index)) for number, index in enumerate(indexes))
    _check_rising(moments)
    return moments


def step_of(index: Index) -> int | None:
    """Steps of training before a model: as its folder has it, or its name or revision; None if nothing tells.

    A folder tells by ``training.json`` ("step") or ``trainer_state.json`` ("global_step"), a name as in ``step-00050``,
    ``checkpoint-50``, ``model@step50``.
    """
    identity = index.manifest.identity.model
    folder = Path(identity.source)
    for name, field in (("training.json", "step"), ("trainer_state.json", "global_step")):
        step = _field(folder / name, field)
        if isinstance(step, int) and not isinstance(step, bool) and step >= 0:
            return step
    for text in (identity.revision, folder.name):
        if text and (match := _STEP.search(text)):
            return int(match[1])
    return None


def _field(path: Path, name: str) -> Any:
    """A field of a file of JSON; None if there is no such file, or it is something else."""
    try:
        values = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return values.get(name) if isinstance(values, dict) else None


def _check_same_text(first: Index, other: Index) -> None:
    texts = first.text, other.text
    starts, ids = ([getattr(text, name) for text in texts] for name in ("sentence_start", "token_id"))
    if texts[0].vocabulary != texts[1].vocabulary:
        raise InputError(
            f"{other.folder} has other tokens than {first.folder}: {len(texts[1].vocabulary):,} in its vocabulary against "
            f"{len(texts[0].vocabulary):,}",
            "Expected checkpoints of one training, with one tokenizer",
            "Give the indexes of one training",
        )
    same = np.array_equal(*starts) and np.array_equal(*ids) and texts[0].n_sentences == texts[1].n_sentences
    if not same:
        told = [
            f"{one.manifest.counts.n_sentences:,} sentences of {one.manifest.identity.corpus.name}"
            for one in (other, first)
        ]
        raise InputError(
            f"{other.folder} holds other sentences than {first.folder}: {told[0]} against {told[1]}",
            "Expected the same corpus at each moment, cut and held out in the same way",
            "Index all checkpoints with the same command, but for the model and --out",
        )


def _check_same_options(first: Index, other: Index) -> None:
    options = [
        {name: value for name, value in one.manifest.identity.json["options"].items() if name not in _NOT_DECIDING}
        for one in (first, other)
    ]
    differ = differences({"options": options[0]}, {"options": options[1]})
    if differ:
        raise InputError(
            f"{other.folder} has other options than {first.folder} (there): {differ}",
            "Expected the same options at each moment",
            "Index all checkpoints with the same command, but for the model and --out",
        )


def _check_rising(moments: Sequence[Moment]) -> None:
    known = [one for one in moments if one.step is not None]
    for before, after in pairwise(known):
        assert before.step is not None and after.step is not None
        if after.step <= before.step:
            raise InputError(
                f"{after.index.folder} is of {after.name}, and stands behind {before.index.folder}, of {before.name}",
                "Expected moments of one training, earliest first, none twice",
                "Give them in the order of their steps, for example: ffmem trace $(ls -d runs/moments/* | sort -V)",
            )

"""What the experiments of the study share: a model, the pairs of a task that it gets right, and the results."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from ffmem.analyses.circuit.curves import ladder
from ffmem.analyses.circuit.kept_cells import KeptCells, mean_coefficients
from ffmem.analyses.circuit.pairs import Aligned, Group, align, read_pairs
from ffmem.analyses.circuit.ranking import RULES, RankRule, ranked
from ffmem.analyses.circuit.relevance import check_heads
from ffmem.analyses.circuit.tasks import Pair, make_pairs, task_names
from ffmem.errors import InputError
from ffmem.index.identity import hashes_of
from ffmem.json_values import json_text
from ffmem.models.controls import as_control
from ffmem.models.transformer import Transformer
from ffmem.options import Bos
from ffmem.studies.arora2026.options import CircuitOptions
from ffmem.studies.controls import CONTROLS
from ffmem.studies.results import FOLDER, Results, begin_results
from ffmem.studies.study import StageListener, Subject

NAME = "arora2026"
_MEASURED = 1
"""Goes up when experiments keep something else, so that older results are measured anew."""
_OF_CONTROL = {"locate": 30, "test": 30, "single": 10}
"""Most that a control is asked: it has to show a shape, not a digit."""
_SPARE = 1.5
"""Pairs that are made for each that is asked for, since the model gets some wrong."""


@dataclass(frozen=True)
class Halves:
    """The pairs of one template: those that circuits are located with, and those that they are tried on."""

    located: Group
    tested: Group


class CircuitStudy:
    """What the experiments share.

    Args:
        model: a model that relevance can be followed through.
        pairs: of the task.
        options: what is sampled.
        results: where what they find is kept.
        load: loads the model once more, for a control that is made of it.
        bos: special tokens.
    """

    def __init__(
        self,
        model: Transformer,
        pairs: list[Pair],
        options: CircuitOptions,
        results: Results,
        load: Callable[[], Transformer],
        bos: Bos,
    ) -> None:
        self.model, self.pairs, self.options, self.results, self.load, self.bos = (
            model, pairs, options, results, load, bos,
        )  # fmt: skip

    @cached_property
    def aligned(self) -> Aligned:
        """The pairs side by side."""
        return align(self.model, self.pairs, bos=self.bos)

    @cached_property
    def templates(self) -> tuple[Halves, ...]:
        """Those with two pairs to locate and two to test at the least.

        Raises:
            InputError: there is none.
        """
        found = [_halves(group, self.options) for group in self.aligned.groups if len(group) >= 4]
        if not found:
            raise InputError(
                f"{self.model.facts.name} gets too few pairs of the task {self.options.task} right: "
                f"{sum(map(len, self.aligned.groups))} of {self.aligned.n}",
                "Expected four of a template at the least, of equal length, with the right word above the wrong one",
                "Choose another task or model",
            )
        return tuple(found)

    @property
    def rules(self) -> tuple[RankRule, ...]:
        """Those that this model can be asked."""
        mixture = any(layer.n_experts for layer in self.model.cells.layers)
        return tuple(rule for rule in RULES if not (mixture and rule == "gradient"))

    def order(self, number: int, rule: RankRule) -> Int64[Tensor, "nodes"]:
        """All nodes of a template in the order of a rule; kept, so that a run that was stopped does not locate them anew."""
        name = f"order-{number}-{rule}"
        if not self.results.has_arrays(name):
            located, options = self.templates[number].located, self.options
            order = ranked(self.model, located, rule, steps=options.steps, seed=options.seed)
            self.results.save_arrays(name, {"nodes": order.numpy().astype(np.int32)})
        return torch.from_numpy(np.array(self.results.load_arrays(name)["nodes"], dtype=np.int64))

    def trial(self, number: int) -> KeptCells:
        """A template's pairs to test, with cells at their mean over the counterfactuals of those to locate."""
        halves = self.templates[number]
        return KeptCells(self.model, halves.tested, self.base(number))

    def base(self, number: int) -> list[Float[Tensor, "positions cells"]]:
        """Where cells stand that are taken out."""
        return mean_coefficients(self.model, self.templates[number].located.counterfactual_ids)

    def sizes(self, n: int) -> tuple[int, ...]:
        """How many nodes are taken, of so many."""
        return tuple(sorted({*ladder(n, self.options.most), min(self.options.size, n)}))

    def as_untrained(self) -> "CircuitStudy":
        """The same experiments on the model with nothing learned, on fewer pairs."""
        model = as_control(self.load(), "untrained")
        fewer = {name: min(most, getattr(self.options, name)) for name, most in _OF_CONTROL.items()}
        options = replace(self.options, **fewer)
        folder = self.results.folder / CONTROLS / "untrained"
        results = _begin_results(folder, model, self.pairs, options, in_folder_itself=False)
        return CircuitStudy(model, self.pairs, options, results, self.load, self.bos)


def _halves(group: Group, options: CircuitOptions) -> Halves:
    """As many as are asked for, or in that proportion if there are fewer."""
    n, wanted = len(group), options.locate + options.test
    located = options.locate if n >= wanted else min(max(round(n * options.locate / wanted), 2), n - 2)
    return Halves(group[:located], group[located : located + options.test])


def begin(subject: Subject, options: CircuitOptions, _: StageListener) -> CircuitStudy:
    """Load the model, make or read the pairs, and find the results of earlier runs.

    Raises:
        InputError: no such task or file, or a model that relevance cannot be followed through.
    """
    if subject.texts:
        raise InputError(
            f"the study {NAME} is given a corpus, {subject.texts[0]}",
            "Expected none: it reads the pairs of a task",
            "Write --task agreement, or --task FILE.jsonl",
        )
    task = options.task
    known = next((name for name in task_names() if name == task), None)
    if known is None and not Path(task).is_file():
        raise InputError(
            f"there is no task {task!r}, nor a file of that name",
            f"Expected one of: {', '.join(task_names())}; or a file of pairs",
            "Write --task agreement",
        )
    model = subject.model()
    check_heads(model)
    if known is None:
        pairs = read_pairs(Path(task), subject.encoding)
    else:
        pairs = make_pairs(model, known, round(_SPARE * (options.locate + options.test)), seed=options.seed)
    bos: Bos = "auto" if subject.index is None else subject.index.manifest.options.bos
    folder = subject.folder if subject.index is None else subject.index.folder / FOLDER
    results = _begin_results(folder, model, pairs, options, in_folder_itself=subject.index is None)
    return CircuitStudy(model, pairs, options, results, subject.model, bos)


def untrained(shared: CircuitStudy, _: object) -> CircuitStudy:
    """How the control is made of the study."""
    return shared.as_untrained()


def _begin_results(
    folder: Path, model: Transformer, pairs: list[Pair], options: CircuitOptions, *, in_folder_itself: bool
) -> Results:
    """Pairs are what they say, wherever they come from."""
    corpus = {"name": options.task, "pairs_sha256": hashlib.sha256(json_text(pairs).encode()).hexdigest()}
    identity = {"model": {"name": model.facts.name, **hashes_of(model)}, "corpus": corpus}
    header = {"study": NAME, "index": identity, "options": options.to_json()}
    return begin_results(folder, header, {**header, "measured": _MEASURED}, in_folder_itself=in_folder_itself)

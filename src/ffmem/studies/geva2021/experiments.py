"""The experiments of a study, one after the other: what each measures, and what of it is kept."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ffmem.analyses.accounting import count_parameters
from ffmem.analyses.agreeing import makeup
from ffmem.analyses.agreement import measure_agreement
from ffmem.analyses.elimination import cases, elimination
from ffmem.analyses.modifications import EDITS, modify, sample_units
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.scoring import score_patterns
from ffmem.analyses.prefixes import Prefixes, held_out_prefixes, prefixes_of_text
from ffmem.analyses.refinement import QUANTILES, Projections, Refinement, by_layer, measure_refinement, own_projections
from ffmem.corpus.documents import Corpus
from ffmem.errors import InputError
from ffmem.index.request import Request, text_source
from ffmem.index.text.writer import write_text
from ffmem.index.verify import load_indexed_model
from ffmem.json_values import to_json
from ffmem.models.base import Projection
from ffmem.models.registry import load_model
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions
from ffmem.store.files import atomic_write
from ffmem.store.reader import Index
from ffmem.store.text import TextReader
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.results import as_csv, results_of

_PART = 400
"""Prefixes that a stopped study may have to look at again."""
_HELD_OUT_SENTENCES = 50_000
"""Most sentences that are read of another corpus."""
_VALUE_PROJECTIONS: tuple[Projection, ...] = ("raw", "folded", "adaptive", "final-norm")


@dataclass(frozen=True)
class Stage:
    """How far a study is."""

    experiment: str
    done: int
    total: int
    """Layers, prefixes, ...: as many as the experiment has."""


Listener = Callable[[Stage], None]


class Study:
    """What all experiments share: the index, its model, its held-out text.

    Args:
        index: a finished index.
        options: what is sampled.
        held_out: a corpus instead of the index's own held-out documents, ready to be read.
        model: where the model is, if not where the index had it from.
        trust_remote_code: run Python code that comes with it, where its config asks for that.
    """

    def __init__(
        self,
        index: Index,
        options: StudyOptions,
        held_out: Corpus | None = None,
        model: str | None = None,
        *,
        trust_remote_code: bool = False,
    ) -> None:
        self.index, self.options = index, options
        self.results = results_of(index, options, None if held_out is None else held_out.identity())
        self._corpus, self._source, self._trust = held_out, model, trust_remote_code
        self.index_options = IndexOptions(**index.manifest["identity"]["options"])

    @cached_property
    def model(self) -> Transformer:
        """The model of the index, loaded when the first experiment asks for it."""
        device = self.index_options.device
        return load_indexed_model(self.index, self._source, device, trust_remote_code=self._trust)

    @cached_property
    def prefixes(self) -> Prefixes:
        """The random prefixes of held-out text."""
        n, seed = self.options.prefixes, self.options.seed
        if self._corpus is None:
            return held_out_prefixes(self.index, n, seed=seed)
        text = self.held_out_text
        return prefixes_of_text(text, 0, text.n_all_sentences, n, seed=seed)

    @cached_property
    def held_out_text(self) -> TextReader:
        """The text of another corpus, in the model's tokens, cut as the index was."""
        assert self._corpus is not None
        folder: Path = self.results.folder / "held-out"
        if not (folder / "tokenizer.json").exists():
            folder.mkdir(exist_ok=True)
            options = replace(self.index_options, holdout=0.0, max_tokens=None, max_sentences=_HELD_OUT_SENTENCES)
            write_text(folder, text_source(self.model, Request("", None, (self._corpus,), options)), options)
        return TextReader(folder)

    @property
    def facts(self) -> dict[str, Any]:
        """The model as the index describes it."""
        facts: dict[str, Any] = self.index.manifest["model"]
        return facts

    @property
    def predicts(self) -> bool:
        """Whether the model predicts the next token of a text, which all but the patterns and the accounting need."""
        return bool(self.facts["causal"]) and not any(layer["stack"] for layer in self.facts["layers"])

    @property
    def value_projections(self) -> tuple[Projection, ...]:
        """Those that values are read by; the index's own first."""
        own: Projection = self.index.manifest["projection"]
        others = (one for one in _VALUE_PROJECTIONS if one in self.facts["projections"] and one != own)
        return (own, *others)


def parameters(study: Study, _: Listener) -> None:
    """Where the model's parameters are."""
    counted = count_parameters(study.model)
    result: dict[str, Any] = {
        "attention": counted.attention,
        "feed_forward": counted.feed_forward,
        "norms": counted.norms,
    }
    result |= {"other": counted.other, "total": counted.total, "feed_forward_fraction": counted.feed_forward_fraction}
    study.results.save("parameters", result)


def agreement(projection: Projection) -> Callable[[Study, Listener], None]:
    """Figures 4 to 6 and Table 2 under one projection."""

    def run(study: Study, listen: Listener) -> None:
        name, n = f"agreement-{projection}", study.index.n_layers
        found = measure_agreement(
            study.index,
            study.model,
            projection,
            seed=study.options.seed,
            on_layer=lambda place: listen(Stage(name, place + 1, n)),
        )
        study.results.save(name, found)

    return run


def refinement(study: Study, listen: Listener) -> None:
    """Figures 7 to 11, and the last layer's compositions; in parts, so that a stopped study goes on."""
    index, results, prefixes = study.index, study.results, study.prefixes
    values: Projection = index.manifest["projection"]
    projections = own_projections(study.model, values)
    parts = [_part(study, part, projections, len(prefixes), listen) for part in _parts(prefixes)]
    found = Refinement(
        **{field.name: np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(Refinement)}
    )
    results.save_arrays("refinement", {field.name: getattr(found, field.name) for field in fields(Refinement)})
    vocabulary, seed = index.text.vocabulary, study.options.seed
    saturation = np.bincount(found.saturation_layer, minlength=index.n_layers)
    results.save("elimination-cases", cases(found, prefixes, vocabulary, seed=seed))
    results.save(
        "refinement",
        {
            "n_prefixes": len(prefixes),
            "n_sentences": len(prefixes.sentences),
            "projections": {"states": projections.states, "contributions": projections.contributions},
            "quantiles": QUANTILES,
            "layers": by_layer(index, prefixes, found, seed=seed),
            "makeup": makeup(found, prefixes, vocabulary, seed=seed),
            "elimination": elimination(found),
            "saturation": (saturation / len(prefixes)).tolist(),
        },
    )
    for path in results.folder.glob("refinement-part-*"):
        path.unlink()


def _parts(prefixes: Prefixes) -> Iterator[tuple[int, Prefixes]]:
    """Prefixes in order, some at a time, with the number of the first."""
    for first in range(0, len(prefixes), _PART):
        sentence = prefixes.sentence[first : first + _PART]
        kept, numbers = np.unique(sentence, return_inverse=True)
        yield (
            first,
            Prefixes(
                sentences=tuple(prefixes.sentences[i] for i in kept.tolist()),
                sentence_ids=prefixes.sentence_ids[kept],
                sentence=numbers.astype(np.int64),
                position=prefixes.position[first : first + _PART],
            ),
        )


def _part(study: Study, part: tuple[int, Prefixes], projections: Projections, n: int, listen: Listener) -> Refinement:
    first, prefixes = part
    name = f"refinement-part-{first:06}"
    if not (study.results.folder / f"{name}.safetensors").exists():
        found = measure_refinement(study.index, study.model, prefixes, projections, bos=study.index_options.bos)
        study.results.save_arrays(name, {field.name: getattr(found, field.name) for field in fields(Refinement)})
    listen(Stage("refinement", first + len(prefixes), n))
    return refinement_of(study.results.load_arrays(name))


_FLAGS = ("active_agrees", "any_agrees", "active_agrees_output")


def refinement_of(arrays: dict[str, np.ndarray]) -> Refinement:
    """A stored refinement."""
    return Refinement(**{name: array.astype(bool) if name in _FLAGS else array for name, array in arrays.items()})


def modifications(study: Study, listen: Listener) -> None:
    """Figure 3, layer by layer."""
    index, options, results = study.index, study.options, study.results
    layers = []
    for place in range(index.n_layers):
        name = f"modifications-layer-{place:03}"
        if name not in results:
            units = sample_units(index, place, options.edited_cells, options.edited_triggers, seed=options.seed)
            found = modify(index, study.model, place, units, bos=study.index_options.bos, seed=options.seed)
            results.save(
                name,
                {
                    "layer": index.cells.layers[place].name,
                    "n_cells": len(units),
                    "n_triggers": found.n_triggers,
                    "largest_error": found.largest_error,
                    "edits": {edit: found.mean(edit, seed=options.seed) for edit in EDITS},
                },
            )
        layers.append(results.load(name))
        listen(Stage("modifications", place + 1, index.n_layers))
    results.save("modifications", {"layers": layers})
    for place in range(index.n_layers):
        (results.folder / f"modifications-layer-{place:03}.json").unlink()


def patterns(study: Study, listen: Listener) -> None:
    """Figure 2 by machine: patterns among the triggers of every cell, held against chance and against held-out text."""
    index, options, results = study.index, study.options, study.results
    begin = Stage("patterns", 0, 2 * index.n_layers)
    encoder, told = _encoder(index)
    found = measure_patterns(
        index,
        semantic="auto" if encoder or index.text.document_labels() else "none",
        encoder=encoder,
        seed=options.seed,
        on_layer=lambda place: listen(replace(begin, done=place + 1)),
        on_sentences=lambda done, n: listen(Stage("patterns, sentences embedded", done, n)),
    )
    scores = None
    if index.text.n_sentences < index.text.n_all_sentences:
        scores = score_patterns(
            index,
            study.model,
            found,
            n_prefixes=options.scored_positions,
            n_units=options.scored_cells or None,
            encoder=encoder,
            seed=options.seed,
            on_layer=lambda place: listen(replace(begin, done=index.n_layers + place + 1)),
        )
    folder = results.folder / "patterns"
    folder.mkdir(exist_ok=True)
    for place, layer in enumerate(index.cells.layers):
        rows = to_json(list(found.accepted(index, place, scores=scores)))
        atomic_write(folder / f"{layer.name}.csv", as_csv(rows))
    results.save(
        "patterns",
        {
            "semantic": found.meaning.kind if found.meaning else None,
            "why_not_semantic": told,
            "layers": found.layers,
            "controls": found.controls,
            "chance": found.chance,
            "scores": scores and {"n_prefixes": scores.n_prefixes, "layers": scores.layers},
        },
    )


def _encoder(index: Index) -> tuple[Transformer | None, str | None]:
    """The model that embeds sentences, if one is needed; or why there is none."""
    if index.text.document_labels():
        return None, None
    try:
        return load_model("minilm"), None
    except InputError as error:
        return None, f"documents have no topics, and {error.got}"


def experiments(study: Study) -> dict[str, Callable[[Study, Listener], None]]:
    """What is to be run, by name, in order; what a model cannot be asked is left out."""
    found: dict[str, Callable[[Study, Listener], None]] = {"parameters": parameters, "patterns": patterns}
    if study.predicts:
        found |= {f"agreement-{one}": agreement(one) for one in study.value_projections}
        found |= {"refinement": refinement, "modifications": modifications}
    return found

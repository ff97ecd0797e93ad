"""What the models lose at the next token, at as many parameters."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import exp

import numpy as np

from ffmem.analyses.accounting import count_parameters
from ffmem.analyses.intervals import Estimate, Uncertain, mean_ratio
from ffmem.analyses.softmax_memories import measure_use
from ffmem.models.transformer import Transformer
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.results import Findings, Results, plain
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.sukhbaatar2019.context import Sukhbaatar2019
from ffmem.studies.sukhbaatar2019.shown import BESIDE, OWN, mean_of, sums_of, told
from ffmem.studies.verdicts import below

EXPERIMENT = "perplexity"


@dataclass(frozen=True)
class ModelLoss:
    """One model."""

    model: str
    """Where it is from."""
    kind: str
    """Of its cells: `OWN` or `BESIDE`."""
    parameters: int
    in_layers: int
    """Of attention, memories and norms."""
    loss: Estimate
    """-ln p of the next token, in nats."""


@dataclass(frozen=True)
class PerplexityResult:
    """All models on the same positions; what each lost at each position lies beside it as arrays, by its number."""

    n_positions: int
    n_documents: int
    models: tuple[ModelLoss, ...]
    """That of the index, that of the index beside, if there is one, and further ones."""
    has_beside: bool


def _models(study: Sukhbaatar2019) -> Iterator[tuple[str, Transformer]]:
    """Each with where it is from."""
    yield study.model.facts.name if study.is_control else study.index.manifest.identity.model.source, study.model
    if study.beside is not None and not study.is_control:
        yield study.beside.manifest.identity.model.source, study.model_beside()
    if not study.is_control:
        yield from ((one, study.another_model(one)) for one in study.options.another)


def _run(study: Sukhbaatar2019, listen: StageListener) -> PerplexityResult:
    document = study.positions.document
    arrays, found = {"document": document}, []
    has_beside = study.beside is not None and not study.is_control
    n_models = 1 + has_beside + (0 if study.is_control else len(study.options.another))
    for number, (source, model) in enumerate(_models(study)):
        use = measure_use(model, study.positions, bos=study.bos)
        counted = count_parameters(model)
        arrays[str(number)] = use.loss.astype(np.float64)
        kind = OWN if model.facts.activation == "softmax" else BESIDE
        loss = mean_of(arrays[str(number)], document).estimate
        found.append(ModelLoss(source, kind, counted.total, counted.total - counted.other, loss))
        listen(Stage(EXPERIMENT, number + 1, n_models))
    study.results.save_arrays(EXPERIMENT, arrays)
    return PerplexityResult(len(document), len(np.unique(document)), tuple(found), has_beside)


def _experiments(_: Sukhbaatar2019) -> Iterable[Experiment[Sukhbaatar2019]]:
    yield Experiment(EXPERIMENT, PerplexityResult, _run)


def _result(findings: Findings) -> PerplexityResult:
    return findings.get(EXPERIMENT, PerplexityResult)


def _arrays(findings: Findings) -> Mapping[str, np.ndarray]:
    return Results(findings.folder, findings.header).load_arrays(EXPERIMENT)


def more(arrays: Mapping[str, np.ndarray], own: list[int], other: list[int]) -> Uncertain:
    """By how much the mean loss of some models is above that of others, at the same positions; documents are drawn."""
    document = arrays["document"]
    first, second = (np.mean([arrays[str(one)] for one in some], axis=0) for some in (own, other))
    return mean_ratio(sums_of(first - second, document).differences)


def of_kind(found: PerplexityResult, kind: str) -> list[int]:
    """The numbers of the models of a kind."""
    return [number for number, one in enumerate(found.models) if one.kind == kind]


def _perplexity(loss: Estimate) -> Estimate:
    return Estimate(exp(loss.value), exp(loss.low), exp(loss.high), loss.n)


def _reading(findings: Findings) -> str:
    found = _result(findings)
    told_of = [
        f"{_called(found, number)} ({one.parameters:,} parameters) {exp(one.loss.value):.1f}"
        for number, one in enumerate(found.models)
    ]
    return f"Perplexity of the next token within a sentence: {'; '.join(told_of)}."


def _sample(findings: Findings) -> str:
    found = _result(findings)
    return (
        f"{found.n_positions:,} positions of held-out sentences of {found.n_documents:,} documents, each sentence alone; "
        "the same for all models, so that differences are of pairs; intervals by drawing documents"
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = _result(findings)
    for number, one in enumerate(found.models):
        yield Number.of(f"perplexity, {_called(found, number)}", "-", _perplexity(one.loss), "")
        yield Number(f"parameters in layers, {_called(found, number)}", "-", one.in_layers, unit="")
    kinds = [of_kind(found, kind) for kind in (OWN, BESIDE)]
    if all(kinds):
        paper = "20.6 (WikiText-103, 133 million parameters)"
        difference = more(_arrays(findings), *kinds)
        yield Number.of(
            "loss of softmax memories less that of ReLU cells, mean of seeds", "-", difference.estimate, "nats"
        )
        yield Number("perplexity of softmax memories, mean of seeds", paper, _of_mean(found, OWN), unit="")
        yield Number("perplexity of ReLU cells, mean of seeds", "-", _of_mean(found, BESIDE), unit="")


def _of_mean(found: PerplexityResult, kind: str) -> float:
    return exp(float(np.mean([found.models[number].loss.value for number in of_kind(found, kind)])))


def _claims(findings: Findings) -> Iterator[Claim]:
    found = _result(findings)
    kinds = [of_kind(found, kind) for kind in (OWN, BESIDE)]
    if all(kinds):
        difference = more(_arrays(findings), *kinds)
        yield Claim(
            "at as many parameters, these models with softmax memories predict this text better than these with ReLU cells",
            below(difference, unit="nats"),
            f"{told(difference)}, mean of {len(kinds[0])} and {len(kinds[1])} models; documents are drawn, seeds are not",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = _result(findings)
    if len(found.models) > 1:
        rows = [{"category": _called(found, number)} | plain(one.loss) for number, one in enumerate(found.models)]
        yield Chart(
            "softmax-loss",
            "Loss of the next token, model by model.",
            "bars",
            rows,
            "loss, nats",
            percent=False,
            from_zero=False,
        )


def _called(found: PerplexityResult, number: int) -> str:
    """A model by its kind, and which of this it is."""
    kind = found.models[number].kind
    return f"{kind}, model {of_kind(found, kind).index(number) + 1}"


def _tables(findings: Findings) -> Iterator[Table]:
    found = _result(findings)
    rows = [
        {
            "cells": _called(found, number),
            "model": one.model,
            "parameters": one.parameters,
            "in layers": one.in_layers,
            "loss, nats": plain(one.loss.value),
            "low": plain(one.loss.low),
            "high": plain(one.loss.high),
            "perplexity": exp(one.loss.value),
        }
        for number, one in enumerate(found.models)
    ]
    yield Table("softmax-perplexity", "Models, on the same positions", tuple(rows[0]), rows)


def _notes(findings: Findings) -> Iterator[str]:
    found = _result(findings)
    yield (
        "No verdict on architectures: same text, same size, same recipe, "
        + (
            f"{len(found.models)} models in all. A recipe that suits one kind may not suit the other, and neither was tuned."
            if len(found.models) > 1
            else "and no second model was given: name one with --beside INDEX."
        )
    )


CHAPTER = Chapter(
    order=5,
    experiments=_experiments,
    results={EXPERIMENT: PerplexityResult},
    exhibits=(
        Exhibit(
            order=5,
            name="Addition",
            title="Perplexity at equal parameters",
            question="Memories in attention take as many parameters as a feed-forward layer. Do models predict equally well?",
            definition="""
exp of the mean of -ln p of the next token, at positions of held-out sentences that each model reads alone, in its own
words. The paper trains on WikiText-103 (36 layers, N = 2,048, 133 million parameters: 19.7, or 20.6 as others count)
and holds that against models of other sizes; here both kinds are trained by one recipe on one text, as many parameters
in each layer but for biases and norms.""",
            conclude="""
Which of these very models is better on this text. Not which architecture is: seeds are few, so that the interval, over
documents, says nothing of other trainings.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

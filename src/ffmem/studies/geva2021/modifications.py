"""Figure 3: what becomes of a coefficient when its trigger loses a token."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int64

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered, ratios
from ffmem.analyses.modifications import EDITS, Edit, modify, sample_units
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import (
    average,
    interval,
    line_rows,
    means_of_thirds,
    points,
    upper_less_lower,
)
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above, every

_ARRAYS = "modifications"
_PART = "modifications-layer-"


@dataclass(frozen=True)
class LayerModifications:
    """One layer."""

    layer: str
    n_cells: int
    n_triggers: int
    largest_error: float
    """See `ffmem.analyses.modifications.Modifications`."""
    edits: dict[Edit, Estimate]
    """Mean change of the coefficient, as a share; the interval draws documents."""


@dataclass(frozen=True)
class ModificationsResult:
    """What changed triggers do, layer by layer. The change of each trigger lies beside it as arrays: see `_changes`."""

    layers: tuple[LayerModifications, ...]
    n_documents: int


@dataclass(frozen=True)
class _Part:
    """What there is of one layer beside its arrays."""

    n_cells: int
    largest_error: float


def _run(study: Geva2021, listen: StageListener) -> ModificationsResult:
    results, n = study.results, study.index.n_layers
    for place in range(n):
        name = f"{_PART}{place:03}"
        if name not in results:
            _measure(study, place, name)
        listen(Stage("modifications", place + 1, n))
    parts = [results.load_arrays(f"{_PART}{place:03}") for place in range(n)]
    arrays = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    results.save_arrays(_ARRAYS, arrays)
    changes = _Changes(arrays["layer"], arrays["change"], *numbered(arrays["document"]), n)
    estimates = {edit: ratios(changes.sums(changes.by(edit)), seed=study.options.seed) for edit in EDITS}
    return ModificationsResult(
        layers=tuple(
            LayerModifications(
                layer=study.index.cells.layers[place].name,
                n_cells=part.n_cells,
                n_triggers=int((arrays["layer"] == place).sum()),
                largest_error=part.largest_error,
                edits={edit: estimates[edit][place] for edit in EDITS},
            )
            for place, part in enumerate(results.load(f"{_PART}{place:03}", _Part) for place in range(n))
        ),
        n_documents=len(np.unique(arrays["document"])),
    )


def _measure(study: Geva2021, place: int, name: str) -> None:
    index, options = study.index, study.options
    units = sample_units(index, place, options.edited_cells, options.edited_triggers, seed=options.seed)
    found = modify(index, study.model, place, units, bos=study.index_options.bos, seed=options.seed)
    arrays = {"layer": np.full(len(found.unit), place), "document": found.document, "change": found.change}
    study.results.save_arrays(name, arrays)
    study.results.save(name, _Part(len(units), found.largest_error))


@dataclass(frozen=True)
class _Changes:
    """The triggers of all layers, ready to be summed by document."""

    layer: Int64[np.ndarray, " triggers"]
    change: Float[np.ndarray, "triggers edits"]
    groups: Int64[np.ndarray, " triggers"]
    n_groups: int
    n_layers: int

    def by(self, edit: Edit) -> Float[np.ndarray, " triggers"]:
        """The change by an edit; NaN where it cannot be made."""
        found: np.ndarray = self.change[:, EDITS.index(edit)]
        return found

    def sums(self, values: Float[np.ndarray, " triggers"]) -> Sums:
        """Of something of each trigger, a column for each layer."""
        columns = np.full((len(values), self.n_layers), np.nan)
        columns[np.arange(len(values)), self.layer] = values
        return Sums.of(columns, self.groups, self.n_groups)


def _changes(findings: Findings) -> _Changes:
    arrays = Results(findings.folder, findings.header).load_arrays(_ARRAYS)
    groups, n_groups = numbered(arrays["document"])
    return _Changes(arrays["layer"], arrays["change"], groups, n_groups, len(_layers(findings)))


def _layers(findings: Findings) -> tuple[LayerModifications, ...]:
    return findings.get("modifications", ModificationsResult).layers


def _change(edit: Edit) -> Callable[[LayerModifications], Estimate]:
    return lambda layer: layer.edits[edit]


def _sample(findings: Findings) -> str:
    layers = _layers(findings)
    n, cells = sum(layer.n_triggers for layer in layers), sum(layer.n_cells for layer in layers)
    documents = findings.get("modifications", ModificationsResult).n_documents
    return f"{n:,} triggers of {cells:,} random cells, from {documents:,} documents; intervals by drawing documents"


def _reading(findings: Findings) -> str:
    edits: tuple[Edit, ...] = ("last", "random", "first")
    last, drawn, first = (100 * average(layer.edits[edit].value for layer in _layers(findings)) for edit in edits)
    return (
        f"On average over layers a coefficient changes by {last:.0f} % when its trigger loses the last token, by {drawn:.0f} % "
        f"for a random one, and by {first:.0f} % for the first."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    changes, layers = _changes(findings), _layers(findings)
    papers: dict[Edit, str] = {
        "first": "~ -10 to -15 %",
        "random": "~ -15 to -20 %",
        "last": "~ -65 to -70 % in the lowest layer",
    }
    for edit, paper in papers.items():
        mean = mean_ratio(changes.sums(changes.by(edit))).estimate
        yield Number.of(f"change without the {edit} token, mean of layers", paper, mean)
    for name, layer in (("lowest", layers[0]), ("highest", layers[-1])):
        yield Number.of(f"change without the last token, {name} layer", "-", layer.edits["last"])


def _claims(findings: Findings) -> Iterator[Claim]:
    changes = _changes(findings)
    last, first, drawn = (changes.by(edit) for edit in ("last", "first", "random"))

    def more(values: Float[np.ndarray, " triggers"]) -> Uncertain:
        """The mean over layers of what differs at the same trigger."""
        return mean_ratio(changes.sums(values).differences)

    than_random, than_first, first_than = more(drawn - last), more(first - last), more(first - drawn)
    yield Claim(
        "the last token matters most",
        every(above(than_random), above(than_first)),
        "change without the last token, less that at the same triggers, mean of layers: without a random one "
        f"{points(-than_random)}, without the first {points(-than_first)}",
    )
    yield Claim(
        "a random token matters more than the first",
        above(first_than),
        "change without a random token, less that without the first at the same triggers, mean of layers: "
        f"{points(-first_than)}",
    )
    (low, high), gain = means_of_thirds(changes.sums(last)), upper_less_lower(changes.sums(last))
    yield Claim(
        "removing the last token hurts lower layers more",
        above(gain),
        f"change: lowest third of the layers {interval(low.estimate)}, highest third {interval(high.estimate)}; the second "
        f"less the first: {points(gain)}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    series = {
        "first token removed": _change("first"),
        "random token removed": _change("random"),
        "last token removed": _change("last"),
        "all but the last shuffled": _change("shuffled"),
    }
    caption = "Figure 3: mean change of a coefficient when its trigger loses a token."
    yield Chart("modifications", caption, "lines", line_rows(_layers(findings), series), "change of the coefficient")


CHAPTER = Chapter(
    order=5,
    experiments=lambda study: (
        [Experiment("modifications", ModificationsResult, _run, parts=_PART)] if study.predicts else []
    ),
    results={"modifications": ModificationsResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Figure 3",
            title="What a trigger's tokens do",
            question="Which part of a prefix makes a key fire?",
            definition="""
100 x (m' - m) / m, where m is the coefficient at the end of a trigger and m' that after one token (first, last, or
a random one between) is removed. Our addition: all tokens but the last in a shuffled order.""",
            conclude="""
A large loss shows that the key needs that token, not that it looks at it alone; a shortened text is also an unusual
one. Coefficients of gated cells can pass through zero, so changes below -100 % occur there.""",
            applies=lambda findings: "modifications" in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

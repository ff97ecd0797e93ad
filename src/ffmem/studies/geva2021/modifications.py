"""Figure 3: what becomes of a coefficient when its trigger loses a token."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.modifications import EDITS, Edit, modify, sample_units
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, averaged, interval, line_rows, thirds
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import every, is_greater

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
    """Mean change of the coefficient, in per cent."""


@dataclass(frozen=True)
class ModificationsResult:
    """What changed triggers do, layer by layer."""

    layers: tuple[LayerModifications, ...]


def _run(study: Geva2021, listen: StageListener) -> ModificationsResult:
    results, n = study.results, study.index.n_layers
    layers = []
    for place in range(n):
        name = f"{_PART}{place:03}"
        if name not in results:
            results.save(name, _layer(study, place))
        layers.append(results.load(name, LayerModifications))
        listen(Stage("modifications", place + 1, n))
    return ModificationsResult(tuple(layers))


def _layer(study: Geva2021, place: int) -> LayerModifications:
    index, options = study.index, study.options
    units = sample_units(index, place, options.edited_cells, options.edited_triggers, seed=options.seed)
    changes = modify(index, study.model, place, units, bos=study.index_options.bos, seed=options.seed)
    return LayerModifications(
        layer=index.cells.layers[place].name,
        n_cells=len(units),
        n_triggers=changes.n_triggers,
        largest_error=changes.largest_error,
        edits={edit: changes.mean(edit, seed=options.seed) for edit in EDITS},
    )


def _layers(findings: Findings) -> tuple[LayerModifications, ...]:
    return findings.get("modifications", ModificationsResult).layers


def _change(edit: Edit) -> Callable[[LayerModifications], Estimate]:
    """The change by an edit, as a share."""

    def of_layer(layer: LayerModifications) -> Estimate:
        change = layer.edits[edit]
        return Estimate(change.value / 100, change.low / 100, change.high / 100, change.n)

    return of_layer


def _mean_change(layers: Sequence[LayerModifications], edit: Edit) -> Estimate:
    return averaged(map(_change(edit), layers))


def _sample(findings: Findings) -> str:
    layers = _layers(findings)
    n, cells = sum(layer.n_triggers for layer in layers), sum(layer.n_cells for layer in layers)
    return f"{n:,} triggers of {cells:,} random cells; intervals by a bootstrap over cells"


def _reading(findings: Findings) -> str:
    edits: tuple[Edit, ...] = ("last", "random", "first")
    last, drawn, first = (average(layer.edits[edit].value for layer in _layers(findings)) for edit in edits)
    return (
        f"On average over layers a coefficient changes by {last:.0f} % when its trigger loses the last token, by {drawn:.0f} % "
        f"for a random one, and by {first:.0f} % for the first."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    layers = _layers(findings)
    papers: dict[Edit, str] = {
        "first": "~ -10 to -15 %",
        "random": "~ -15 to -20 %",
        "last": "~ -65 to -70 % in the lowest layer",
    }
    for edit, paper in papers.items():
        mean = average(layer.edits[edit].value for layer in layers) / 100
        yield Number(f"change without the {edit} token, mean of layers", paper, mean)
    for name, layer in (("lowest", layers[0]), ("highest", layers[-1])):
        yield Number.of(f"change without the last token, {name} layer", "-", _change("last")(layer))


def _claims(findings: Findings) -> Iterator[Claim]:
    layers = _layers(findings)
    edits: tuple[Edit, ...] = ("last", "first", "random")
    last, first, drawn = (_mean_change(layers, edit) for edit in edits)
    yield Claim(
        "the last token matters most",
        every(is_greater(drawn, last), is_greater(first, last)),
        f"means over layers: last {interval(last)}, random {interval(drawn)}, first {interval(first)}",
    )
    yield Claim(
        "a random token matters more than the first",
        is_greater(first, drawn),
        f"means over layers: random {interval(drawn)}, first {interval(first)}",
    )
    low, high = (_mean_change(part, "last") for part in thirds(layers))
    yield Claim(
        "removing the last token hurts lower layers more",
        is_greater(high, low),
        f"lowest third {interval(low)}, highest third {interval(high)}",
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

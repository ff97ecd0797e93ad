"""The one table: every layer, measure and lens, and where the Jacobian is better or worse."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Exhibit, Table
from ffmem.studies.gurnee2026 import effects, states, values
from ffmem.studies.gurnee2026.shown import NAMES, LayerReadings, Measure, Readings, verdict_of
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, no_experiments


def _parts(findings: Findings) -> Iterator[tuple[str, Measure, Readings]]:
    """Each measure with what was found of it."""
    if states.EXPERIMENT in findings.values:
        found = states.states(findings).readings
        yield from ((name, measure, found) for name, measure in states.MEASURES.items())
    if values.EXPERIMENT in findings.values:
        yield from ((name, measure, values.values(findings)) for name, measure in values.MEASURES.items())
    if effects.EXPERIMENT in findings.values:
        yield from ((name, measure, effects.effects(findings)) for name, measure in effects.MEASURES.items())


def _verdicts(findings: Findings) -> list[dict[str, str]]:
    """A row for each layer, a column for each measure."""
    parts = list(_parts(findings))
    layers = [one.layer for one in parts[0][2].layers]
    return [
        {"layer": layer}
        | {measure.title: verdict_of(found.layers[number].gain[name], measure) for name, measure, found in parts}
        for number, layer in enumerate(layers)
    ]


def _row(name: str, measure: Measure, found: Readings, layer: LayerReadings) -> dict[str, object]:
    gain = layer.gain[name]
    return (
        {"layer": layer.layer, "measured": measure.title, "unit": measure.unit or "correlation"}
        | {
            title: plain(layer.by[name][lens].value) if lens in layer.by[name] else None
            for lens, title in NAMES.items()
        }
        | {
            "Jacobian less as the last state": plain(gain.value),
            "low": plain(gain.low),
            "high": plain(gain.high),
            "Jacobian is": verdict_of(gain, measure),
        }
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = _verdicts(findings)
    yield Table(
        "jacobian-verdicts",
        "The Jacobian lens against the model's own reading: what the 95 % interval of the difference says",
        tuple(rows[0]),
        rows,
        side_by_side=True,
    )
    full = [_row(name, measure, found, layer) for name, measure, found in _parts(findings) for layer in found.layers]
    yield Table(
        "lenses-by-layer",
        "Every layer, measure and lens; shares of 1",
        tuple(full[0]),
        full,
        folded=True,
        side_by_side=True,
    )


def _reading(findings: Findings) -> str:
    rows = _verdicts(findings)[:-1]
    every = [value for row in rows for title, value in row.items() if title != "layer"]
    counts = {word: every.count(word) for word in ("better", "worse", "cannot be told", "same")}
    neither = counts["cannot be told"] + counts["same"]
    worse = sorted({title for row in rows for title, value in row.items() if value == "worse"})
    where = (
        f" It is worse in some layer by: {'; '.join(worse)}." if worse else " It is worse in no layer by any measure."
    )
    return (
        f"Of {len(every):,} comparisons below the last layer the Jacobian lens is better in {counts['better']:,}, worse in "
        f"{counts['worse']:,}, and {neither:,} cannot be told apart.{where}"
    )


def _sample(findings: Findings) -> str:
    n = [f"{found.n:,} in {found.n_documents:,} documents" for _, _, found in _parts(findings)]
    return f"what stands below, by layer: {'; '.join(dict.fromkeys(n))}"


CHAPTER = Chapter(
    order=4,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=1,
            name="Table",
            title="Every lens in every layer",
            question="In which layers does the Jacobian lens agree better with what follows, and where is it worse?",
            definition="""
Each measure of the exhibits below, in each layer: the Jacobian lens less what is read as the last state is (the projection
final-norm), on the same positions, cells or prefixes. Better or worse: the 95 % interval of the difference, by drawing
documents, leaves 0 out. In the last layer the Jacobian is the identity.""",
            conclude="""
A count of such words is no test: with many layers one in twenty comes by chance. The claims of the exhibits below are tested
together, by thirds of the layers.""",
            applies=lambda findings: states.EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            tables=_tables,
        ),
    ),
)

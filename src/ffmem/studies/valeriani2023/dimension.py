"""How many dimensions the states have, layer by layer: where the peak is, and what makes it."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.intervals import Uncertain
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Row, Table
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, Experiment
from ffmem.studies.valeriani2023.context import Valeriani2023
from ffmem.studies.valeriani2023.findings import (
    READ,
    REDUCED,
    TEXT,
    WORDS,
    Cloud,
    Geometry,
    geometry,
    line_rows_of,
    profile,
    titled,
    told,
    with_controls,
)
from ffmem.studies.valeriani2023.measuring import measure_text, measure_words
from ffmem.studies.verdicts import above, every

_LEAST_LAYERS = 3
"""Of a stack that may have a peak within."""
_UNTRAINED = "untrained"


def has_text(findings: Findings) -> bool:
    """Whether the sentences were measured."""
    return TEXT in findings.values


def stacks_with_peak(found: Geometry) -> list[str]:
    """Stacks of layers enough to have a peak."""
    return [stack for stack, places in found.stacks().items() if len(places) >= _LEAST_LAYERS]


def sample(findings: Findings) -> str:
    """How much it was measured on."""
    found = geometry(findings)
    return (
        f"{found.n_points:,} sentences of {found.n_groups:,} documents or groups of them, a point each in every layer; "
        f"{found.n_repeated:,} repetitions left out; intervals by halves of the documents"
    )


def _reading(findings: Findings) -> str:
    found, parts = geometry(findings), []
    for stack in found.stacks():
        for kind in READ:
            one = profile(findings, TEXT, kind, "dimension", stack)
            where = "at its very beginning" if one.peak == 0 else "at its end" if one.minimum is None else "within"
            parts.append(
                f"The dimension of {kind} is largest in {one.names[one.peak]} ({one.values[one.peak]:.1f}), {where}; it is "
                f"{one.values[0]:.1f} in {one.names[0]} and {one.values[-1]:.1f} in {one.names[-1]}."
            )
    return " ".join(parts)


def _numbers(findings: Findings) -> Iterator[Number]:
    found = geometry(findings)
    several = len(found.stacks()) > 1
    for stack, places in found.stacks().items():
        for kind in READ:
            yield from _numbers_of(findings, kind, stack, places, several)


def _numbers_of(findings: Findings, kind: str, stack: str, places: list[int], several: bool) -> Iterator[Number]:
    one, clouds = profile(findings, TEXT, kind, "dimension", stack), geometry(findings).clouds[kind]
    estimates = [clouds[place].dimension for place in places]
    paper = ("~ 20 to 30", "~ 10 to 40 %") if kind == "o" else ("-", "-")
    yield Number.of(titled(stack, f"dimension of {kind} at its peak", several), paper[0], estimates[one.peak], "")
    yield Number(titled(stack, f"depth of the peak of {kind}", several), paper[1], (one.peak + 1) / len(places))
    if one.minimum is not None:
        low = (one.minimum + 1) / len(places)
        yield Number.of(titled(stack, f"least dimension of {kind} after it", several), "-", estimates[one.minimum], "")
        yield Number(titled(stack, f"depth of that minimum of {kind}", several), "-", low)
    if WORDS in findings.values:
        mixed = geometry(findings, WORDS).clouds[kind]
        largest = max((mixed[place].dimension for place in places), key=lambda two: two.value)
        yield Number.of(titled(stack, f"dimension of {kind} at the peak of shuffled words", several), "-", largest, "")


def _prominence(findings: Findings, kind: str, stack: str) -> Uncertain:
    """By how much the peak is above the higher end of a profile, as ln of their ratio: 0 where it has no peak within."""
    one = profile(findings, TEXT, kind, "dimension", stack)

    def ratio(values: np.ndarray) -> np.ndarray:
        logs = np.log(np.maximum(values, 1e-9))
        found: np.ndarray = logs.max(-1) - np.maximum(logs[..., 0], logs[..., -1])
        return found

    return one.uncertain(float(ratio(one.values)), ratio(one.draws))


def _claims(findings: Findings) -> Iterator[Claim]:
    found = geometry(findings)
    several = len(found.stacks()) > 1
    for stack in stacks_with_peak(found):
        for kind, where in READ.items():
            yield from _claims_of(findings, kind, where, stack, several)


def _claims_of(findings: Findings, kind: str, where: str, stack: str, several: bool) -> Iterator[Claim]:
    one = profile(findings, TEXT, kind, "dimension", stack)
    first, last = one.over(0), one.over(len(one.names) - 1)
    yield Claim(
        titled(stack, f"the dimension rises to a peak within the layers and falls after it{where}", several),
        every(above(first, unit="dimensions"), above(last, unit="dimensions")),
        f"{one.names[one.peak]} less the lowest layer {told(first)}, less the highest {told(last)}, for having been chosen "
        "corrected",
    )
    if WORDS in findings.values:
        other = profile(findings, WORDS, kind, "dimension", stack)
        less = one.uncertain(one.values.max() - other.values.max(), one.draws.max(1) - other.draws.max(1))
        yield Claim(
            titled(stack, f"the peak is lower where words are shuffled{where} (arXiv 2405.15471)", several),
            above(less, unit="dimensions"),
            f"the largest dimension of sentences less that of the same with shuffled words {told(less)}",
        )
    control = findings.controls.get(_UNTRAINED)
    if control is None or TEXT not in control.values:  # a control itself has none
        return
    own, theirs = _prominence(findings, kind, stack), _prominence(control, kind, stack)
    groups = min(own.n_groups, theirs.n_groups)
    less = Uncertain(own.value - theirs.value, float(np.hypot(own.error, theirs.error)), groups, own.n)
    yield Claim(
        titled(stack, f"the peak is not there before training{where} (arXiv 2405.15471)", several),
        above(less, unit="of ln"),
        f"ln of the peak over the higher end {told(own, 'of ln')}, untrained {told(theirs, 'of ln')}: the first is more by "
        f"{told(less, 'of ln')}",
    )


def _over_layers(findings: Findings, kind: str) -> list[Row]:
    """Sentences, shuffled words and controls."""
    rows = line_rows_of(geometry(findings), kind, "dimension", "sentences")
    if WORDS in findings.values:
        rows += line_rows_of(geometry(findings, WORDS), kind, "dimension", "shuffled words")
    return rows + with_controls(findings, TEXT, kind, "dimension")


def _charts(findings: Findings) -> Iterator[Chart]:
    found = geometry(findings)
    for name, kind in (("dimension", "o"), ("dimension-last-token", "o, last token")):
        what = "means over tokens" if kind == "o" else "the last token alone"
        caption = f"Dimension of o, {what} (GRIDE, n = {found.order}): sentences, shuffled words, control models."
        yield Chart(name, caption, "lines", _over_layers(findings, kind), "dimensions", percent=False)
    kinds: list[Row] = [row for kind in found.clouds for row in line_rows_of(found, kind, "dimension", kind)]
    caption = (
        "Dimension of all kinds of points: means of o, r, y and of the coefficients m; o at the last token; o without its 3 "
        "largest dimensions."
    )
    yield Chart("dimension-of-kinds", caption, "lines", kinds, "dimensions", percent=False)


def _row(kind: str, one: Cloud) -> Row:
    return {
        "points": kind,
        "layer": one.layer,
        "dimension": plain(one.dimension.value),
        "low": plain(one.dimension.low),
        "high": plain(one.dimension.high),
        "TwoNN, fit": plain(one.two_nn),
        "TwoNN, likelihood": plain(one.two_nn_ml),
        "same as another": one.n_duplicates,
    }


def _tables(findings: Findings) -> Iterator[Table]:
    rows = [_row(kind, one) for kind, some in geometry(findings).clouds.items() for one in some]
    if WORDS in findings.values:
        mixed = geometry(findings, WORDS).clouds
        rows += [_row(f"{kind}, shuffled words", one) for kind, some in mixed.items() for one in some]
    yield Table("dimensions", "Dimension by kind of points and layer", tuple(rows[0]), rows, folded=True)


def _notes(findings: Findings) -> Iterator[str]:
    found = geometry(findings)
    changes = []
    for stack in found.stacks():
        with_all = profile(findings, TEXT, "o", "dimension", stack)
        without = profile(findings, TEXT, REDUCED, "dimension", stack)
        change = np.abs(np.log(without.values / with_all.values))
        worst = int(change.argmax())
        changes.append(
            f"without its 3 largest dimensions o has {without.values[worst]:.1f} dimensions in {with_all.names[worst]} instead "
            f"of {with_all.values[worst]:.1f}, where the change is largest, and its peak is in {without.names[without.peak]} "
            f"instead of {with_all.names[with_all.peak]}"
        )
    yield "Massive activations: " + "; ".join(changes) + "."
    dropped = sum(one.n_duplicates for some in found.clouds.values() for one in some)
    yield f"Points that are the same as another one in their layer, left out of dimensions: {dropped:,} of all clouds together."
    yield (
        "Above about 10 dimensions so few points tell too few: of a cube of 20 dimensions TwoNN tells 15. Profiles are to be "
        "compared by their shape."
    )


def _experiments(_: Valeriani2023) -> list[Experiment[Valeriani2023]]:
    return [Experiment(TEXT, Geometry, measure_text), Experiment(WORDS, Geometry, measure_words)]


CHAPTER = Chapter(
    order=1,
    experiments=_experiments,
    results={TEXT: Geometry, WORDS: Geometry},
    exhibits=(
        Exhibit(
            order=1,
            name="Dimension",
            title="How many dimensions do states use, layer by layer?",
            question="Does the cloud of all sentences widen and then narrow on its way through the layers?",
            definition="""
Each sentence is a point in each layer: the mean of the state over its own tokens, or the state at its last token. GRIDE takes
the ratio mu of the distances to the 2n-th and the n-th neighbour and finds the d that makes all ratios most likely, of density
d (mu^d - 1)^(n - 1) / (mu^((2n - 1) d + 1) B(n, n)). n is that of the plateau: see the exhibit on scales. The peak is the
layer of largest d, and the minimum that of least d after it. The lowest point is the output of layer 0, not the
embedding.""",
            conclude="""
The shape of a profile, under this text and so many points. Not how many dimensions there are: in many dimensions so few
points tell too few. Nothing of causes.""",
            applies=has_text,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

"""How much neighbourhoods change from a layer to the next."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number
from ffmem.studies.geva2021.layers import points, share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.valeriani2023.dimension import has_text, sample, stacks_with_peak
from ffmem.studies.valeriani2023.findings import (
    REDUCED,
    TEXT,
    WORDS,
    geometry,
    line_rows_of,
    profile,
    titled,
    with_controls,
)
from ffmem.studies.verdicts import above


def _applies(findings: Findings) -> bool:
    return has_text(findings) and bool(stacks_with_peak(geometry(findings)))


def _reading(findings: Findings) -> str:
    found, parts = geometry(findings), []
    for stack in stacks_with_peak(found):
        near = profile(findings, TEXT, "o", "near", stack)
        worst = int(near.values.argmin())
        parts.append(
            f"Neighbourhoods change most from {near.names[worst]} to the next layer, where {share(near.values[worst])} of "
            f"{found.k} neighbours stay, and least from {near.names[near.peak]}, where {share(near.values[near.peak])} do."
        )
    return " ".join(parts)


def _numbers(findings: Findings) -> Iterator[Number]:
    found = geometry(findings)
    several = len(found.stacks()) > 1
    for stack in stacks_with_peak(found):
        near, dimension = (profile(findings, TEXT, "o", which, stack) for which in ("near", "dimension"))
        for where, some in _parts(dimension.peak, len(near.names)).items():
            mean = near.uncertain(float(near.values[some].mean()), near.draws[:, some].mean(1))
            yield Number.of(titled(stack, f"neighbours that stay, {where}", several), "-", mean.estimate)
    yield Number("neighbours that would stay by chance", "-", found.k / (found.n_points - 1))


def _parts(peak: int, n: int) -> dict[str, list[int]]:
    """Steps up to the peak of the dimension, and those after it; a step begins in its layer."""
    found = {"steps up to the peak": list(range(min(peak, n))), "steps after the peak": list(range(min(peak, n), n))}
    return {name: some for name, some in found.items() if some}


def _claims(findings: Findings) -> Iterator[Claim]:
    found = geometry(findings)
    several = len(found.stacks()) > 1
    for stack in stacks_with_peak(found):
        near, dimension = (profile(findings, TEXT, "o", which, stack) for which in ("near", "dimension"))
        parts = list(_parts(dimension.peak, len(near.names)).values())
        if len(parts) < 2:
            continue
        more = near.means_less(parts[1], parts[0])
        yield Claim(
            titled(stack, "neighbourhoods change less after the peak of the dimension than up to it", several),
            above(more),
            f"neighbours that stay, steps after {dimension.names[dimension.peak]} less those up to it: {points(more)}",
        )


def _charts(findings: Findings) -> Iterator[Chart]:
    found = geometry(findings)
    rows = line_rows_of(found, "o", "near", "sentences")
    if WORDS in findings.values:
        rows += line_rows_of(geometry(findings, WORDS), "o", "near", "shuffled words")
    rows += with_controls(findings, TEXT, "o", "near")
    caption = f"Share of the {found.k} nearest neighbours in a layer's output that are so in the next layer's, too."
    yield Chart("next-layer", caption, "lines", rows, "neighbours that stay", from_zero=False)
    kinds = [
        row
        for kind in found.clouds
        if kind != REDUCED
        for row in line_rows_of(found, kind, "near", kind)
    ]  # fmt: skip
    caption = "The same for all kinds of points."
    yield Chart("next-layer-of-kinds", caption, "lines", kinds, "neighbours that stay")


CHAPTER = Chapter(
    order=3,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=3,
            name="Neighbours",
            title="How much does each layer change who is near to whom?",
            question="Are neighbours of a layer neighbours in the next one, too?",
            definition="""
chi_k = mean over sentences of |N_k in this layer and N_k in the next| / k, N_k being the k nearest neighbours. 1: nothing
changes; k / (N - 1): the layers have nothing in common.""",
            conclude="""
Where neighbourhoods are rearranged. The stream of a residual model keeps what was there, so that o and r of neighbouring
layers are alike whatever was learned: compare with the untrained model.""",
            applies=_applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

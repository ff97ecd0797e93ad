"""How much of a head's weight memories have, by how much context competes with them."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.intervals import Estimate, Uncertain, mean_ratio
from ffmem.analyses.softmax_memories import Use
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, percent
from ffmem.studies.results import Findings, plain
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.sukhbaatar2019.shown import mean_of, sums_of, told, use_of
from ffmem.studies.sukhbaatar2019.use import OF_OWN, result
from ffmem.studies.verdicts import above

_EDGES = (1, 2, 3, 4, 6, 9, 13, 19, 28, 41)
"""Where bins of context lengths begin; the last one is open."""
_EVEN = "even"


def bins(context: np.ndarray) -> list[tuple[int, int]]:
    """The first and the last length of each bin that has a position."""
    ends = [*(edge - 1 for edge in _EDGES[1:]), max(int(context.max()), _EDGES[-1])]
    pairs = zip(_EDGES, ends, strict=True)
    return [(low, high) for low, high in pairs if ((context >= low) & (context <= high)).any()]


def mass_in(use: Use, place: int, low: int, high: int) -> Estimate:
    """The mean weight of memories in a layer, at positions with so much context."""
    there = (use.context >= low) & (use.context <= high)
    return mean_of(use.mass[there, place], use.document[there]).estimate


def less_later(use: Use) -> Uncertain:
    """By how much the weight of memories at positions with the least context is above that at others, mean of layers."""
    least = (use.context == use.context.min())[:, None]
    first, later = np.where(least, use.mass, np.nan), np.where(least, np.nan, use.mass)
    return mean_ratio(sums_of(first, use.document), sums_of(later, use.document))


def _n_memories(findings: Findings) -> int:
    """Of each head."""
    found = result(findings)
    return found.layers[0].n_cells // found.n_heads


def _reading(findings: Findings) -> str:
    use = use_of(findings, OF_OWN)
    least = int(use.context.min())
    first = mean_of(use.mass[use.context == least], use.document[use.context == least])
    return (
        f"Memories have {percent(mean_of(use.mass, use.document).value)} % of the weight, mean of layers and positions; with "
        f"{least} token{'s' if least > 1 else ''} of context {percent(first.value)} %."
    )


def _sample(findings: Findings) -> str:
    found = result(findings)
    sentences = f"{found.n_positions:,} positions of held-out sentences of {found.n_documents:,} documents"
    return f"{sentences}; intervals by drawing documents"


def _numbers(findings: Findings) -> Iterator[Number]:
    use = use_of(findings, OF_OWN)
    yield Number.of("weight of memories, of 1 a head", "-", mean_of(use.mass, use.document).estimate)
    for number, layer in enumerate(result(findings).layers):
        yield Number.of(f"{layer.layer}: weight of memories", "-", mean_of(use.mass[:, number], use.document).estimate)
    n = _n_memories(findings)
    yield Number("if all in the softmax had the same", "-", float((n / (use.context + n)).mean()))


def _claims(findings: Findings) -> Iterator[Claim]:
    use = use_of(findings, OF_OWN)
    more = less_later(use)
    yield Claim(
        "memories have most of their weight where the least context competes with them: at the first token of a text more than "
        "at later ones",
        above(more),
        f"{told(more, '')} of the weight of a head, mean of layers",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    use, n = use_of(findings, OF_OWN), _n_memories(findings)
    rows = [
        {"middle": (low + high) / 2, "from": low, "to": high, "series": layer.layer}
        | plain(mass_in(use, place, low, high))
        for place, layer in enumerate(result(findings).layers)
        for low, high in bins(use.context)
    ]
    for low, high in bins(use.context):
        there = (use.context >= low) & (use.context <= high)
        share = float((n / (use.context[there] + n)).mean())
        rows.append(
            {"middle": (low + high) / 2, "from": low, "to": high, "series": _EVEN}
            | {"value": share, "low": share, "high": share, "n": int(there.sum())}
        )
    yield Chart(
        "softmax-mass", "Weight of memories by tokens of context; even: if all in the softmax had the same.", "points", rows,
        "weight of memories", x_title="tokens of context", from_zero=True,
    )  # fmt: skip


CHAPTER = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=2,
            name="Addition",
            title="How much weight do memories have?",
            question="Memories share a softmax with the context: how much of each head's weight is theirs, and does more "
            "context leave them less?",
            definition="""
Sum of m over the memories of a head, mean of heads; the rest of 1 goes to tokens of the context, among them the special
token that stands before a text. Coefficients of one memory at two positions are comparable only where as much competes:
so positions are told apart by how many tokens their context has.""",
            conclude="""
How a head divides its weight, not what that adds to the stream: values of memories and of tokens have other lengths.
The same weight of a memory means more where the context is long.""",
            applies=lambda findings: OF_OWN in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
        ),
    ),
)

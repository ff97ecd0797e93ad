"""Figures 7 and 8 and section 5.1: how the memories of a layer make its output."""

from collections.abc import Callable, Iterator
from math import isnan

from ffmem.analyses.contributors import Kind
from ffmem.analyses.intervals import Estimate, each_ratio, mean_ratio
from ffmem.analyses.refined_layers import LayerRefinement, chance_sums
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, nothing
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, box_rows, interval, line_rows, share
from ffmem.studies.geva2021.refinement import applies, at_prefixes, refined, sample
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter
from ffmem.studies.verdicts import above, every


def _active_reading(findings: Findings) -> str:
    layers = refined(findings).layers
    medians = [layer.active_quantiles[2] for layer in layers]
    least = layers[medians.index(min(medians))].layer
    return f"At the median {share(min(medians))} ({least}) to {share(max(medians))} of a layer's cells are active at a token."


def _active_numbers(findings: Findings) -> Iterator[Number]:
    of_layers = refined(findings).of_layers
    yield Number.of("active cells, layer with the fewest (median)", "~ 10 %", of_layers.fewest_active)
    yield Number.of("active cells, layer with the most (median)", "~ 50 %", of_layers.most_active)


def _active_charts(findings: Findings) -> Iterator[Chart]:
    rows = box_rows(refined(findings).layers, lambda layer: layer.active_quantiles)
    yield Chart("active", "Figure 7: the share of active memories.", "boxes", rows, "active cells")


_KIND_WORDS: dict[Kind, str] = {
    "active": "an active cell",
    "effective": "an effective cell",
    "ten_strongest": "one of the ten strongest",
    "strongest": "the strongest cell",
}


def _zero_reading(findings: Findings) -> str:
    layers = refined(findings).layers
    shares = [layer.zero_agreement.value for layer in layers]
    beyond = average(layer.agrees_beyond_chance["active"].value for layer in layers)
    strongest = average(layer.agrees["strongest"].value for layer in layers)
    told = (
        f"In {share(min(shares))} to {share(max(shares))} of the prefixes no active cell has the layer's own top token"
    )
    if not isnan(beyond):  # of a single document there is no other
        told += f"; the cells that are active in other documents would have it {100 * beyond:.1f} points less often"
    return f"{told}. The strongest cell has it in {share(strongest)}."


def _zero_numbers(findings: Findings) -> Iterator[Number]:
    at = at_prefixes(findings)
    yield Number.of("zero agreement, layer with the least", "68 %", refined(findings).of_layers.least_zero_agreement)
    for kind, words in _KIND_WORDS.items():
        rows = (
            ("has the layer's top token, mean of layers", at.sums(at.found.agrees(kind))),
            ("by chance, at prefixes of other documents", chance_sums(at.found, kind)),
            ("beyond chance", chance_sums(at.found, kind, beyond=True)),
        )
        for what, sums in rows:
            yield Number.of(f"{words}: {what}", "-", mean_ratio(sums).estimate)


def _zero_claims(findings: Findings) -> Iterator[Claim]:
    at = at_prefixes(findings)
    zero = each_ratio(at.sums(~at.found.active_agrees))
    least = min(zero, key=lambda one: one.value)
    yield Claim(
        "in every layer most outputs are the top token of no active memory",
        every(*(above(one, 0.5) for one in zero)),
        f"share of prefixes, to be above one half in each layer; the smallest is {interval(least.estimate)}",
    )


def _of_kind(kind: Kind) -> Callable[[LayerRefinement], Estimate]:
    return lambda layer: layer.agrees[kind]


def _beyond(kind: Kind) -> Callable[[LayerRefinement], Estimate]:
    return lambda layer: layer.agrees_beyond_chance[kind]


def _zero_charts(findings: Findings) -> Iterator[Chart]:
    layers = refined(findings).layers
    rows = line_rows(
        layers,
        {
            "no active cell has top(y)": lambda layer: layer.zero_agreement,
            "no cell at all has top(y)": lambda layer: layer.zero_agreement_any,
            "no active cell has top(o): the official code": lambda layer: layer.zero_agreement_output,
            "no cell that is active at prefixes of other documents": lambda layer: _less(
                layer.agrees_by_chance["active"]
            ),
        },
    )
    caption = "Figure 8: prefixes where no memory has the layer's own top token."
    yield Chart("zero-agreement", caption, "lines", rows, "prefixes")
    caption = "How often cells that make the output have its top token, by how much they add."
    rows = line_rows(layers, {words: _of_kind(kind) for kind, words in _KIND_WORDS.items()})
    yield Chart("agreement-of-contributors", caption, "lines", rows, "prefixes")
    caption = "By how much more often than the cells at prefixes of other documents."
    rows = line_rows(layers, {words: _beyond(kind) for kind, words in _KIND_WORDS.items()})
    yield Chart("agreement-beyond-chance", caption, "lines", rows, "prefixes, less those by chance")


def _less(agrees: Estimate) -> Estimate:
    """The share of the others."""
    return Estimate(1 - agrees.value, 1 - agrees.high, 1 - agrees.low, agrees.n)


def _makeup_reading(findings: Findings) -> str:
    made = refined(findings).makeup
    if not made.n_pairs:
        return "There is no such case."
    return (
        f"Where an active cell has the layer's own top token, that is a stop word in {share(made.stop_word.value)} of the "
        f"cases (of all cases {share(made.stop_word_of_all.value)}), and the prefix is shorter than 5 tokens in "
        f"{share(made.short_prefix.value)} (of all {share(made.short_prefix_of_all.value)})."
    )


def _makeup_numbers(findings: Findings) -> Iterator[Number]:
    made = refined(findings).makeup
    yield Number.of("agreeing cases whose token is a stop word", "60 %", made.stop_word)
    yield Number.of("all cases whose token is a stop word", "-", made.stop_word_of_all)
    yield Number.of("agreeing cases with a prefix below 5 tokens", "43 %", made.short_prefix)
    yield Number.of("all cases with a prefix below 5 tokens", "-", made.short_prefix_of_all)


def _makeup_sample(findings: Findings) -> str:
    return f"{refined(findings).makeup.n_pairs:,} agreeing cases; {sample(findings)}"


def _participation_reading(findings: Findings) -> str:
    layers = refined(findings).layers
    own = average(layer.participation.value for layer in layers)
    soft = average(layer.softmax_participation.value for layer in layers)
    beside = "" if isnan(soft) else f"; a softmax of the same scores would have {soft:,.0f}"  # experts have none
    return f"On average {own:,.0f} memories make a layer's output{beside}."


def _participation_charts(findings: Findings) -> Iterator[Chart]:
    rows = line_rows(
        refined(findings).layers,
        {
            "as it is": lambda layer: layer.participation,
            "through a softmax": lambda layer: layer.softmax_participation,
        },
    )
    yield Chart(
        "participation",
        "How many memories make an output, as it is and if a softmax stood in the place of the activation.",
        "lines",
        rows,
        "effective number of memories",
        percent=False,
        log=True,
    )


CHAPTER: Chapter[Geva2021] = Chapter(
    order=4.5,
    experiments=nothing,
    results={},
    exhibits=(
        Exhibit(
            order=7,
            name="Figure 7",
            title="How many memories are active",
            question="How many cells have a coefficient above 0?",
            definition="The share of cells with m > 0 at the last token of a prefix; over prefixes, as in Figure 5.",
            conclude="""
With ReLU all others add nothing. With other activations the others add a little; the number of effective memories,
below, is then the better measure.""",
            applies=applies,
            reading=_active_reading,
            sample=sample,
            numbers=_active_numbers,
            charts=_active_charts,
        ),
        Exhibit(
            order=8,
            name="Figure 8",
            title="Is a layer's output the choice of one memory?",
            question="How often does no memory have the layer's top token as its own?",
            definition="""
Zero agreement: the share of prefixes where no cell that adds its value has top(v) = top(y), y being the layer's
output. Also: over all cells, active or not; with top(o) in place of top(y), as the official code has it; and of the
cells that add most, by |m| x length of v: effective ones (more than 1 % of the largest), the ten strongest, the
strongest. By chance: the same top(y), held against the cells that are active at prefixes of other documents, in the
same layer.""",
            conclude="""
Zero agreement by itself says little: the more cells are active, the more tops there are, and one of them is top(y) by
chance. What goes beyond chance is due to this prefix. Where the strongest cells seldom have the layer's top token,
it is a compromise of several memories. Nothing is said of tokens below the top.""",
            applies=applies,
            reading=_zero_reading,
            sample=sample,
            numbers=_zero_numbers,
            claims=_zero_claims,
            charts=_zero_charts,
        ),
        Exhibit(
            order=8.5,
            name="Section 5.1",
            title="Where a memory agrees with its layer",
            question="What are the cases in which an active memory does have the layer's top token?",
            definition="""
An agreeing case is a prefix and a layer in which a cell that adds its value has top(v) = top(y). Of these: the share whose
top(y) is a stop word (a function word of English; the paper does not name its list, this one is ours), and the share whose
prefix is shorter than 5 tokens. Intervals by drawing documents.""",
            conclude="""
A share of the agreeing cases means something only beside the same share of all cases: where most predictions are stop
words anyway, so are those of agreeing cases.""",
            applies=applies,
            reading=_makeup_reading,
            sample=_makeup_sample,
            numbers=_makeup_numbers,
        ),
        Exhibit(
            order=20,
            name="Addition",
            title="How many memories make an output",
            question="How concentrated is a layer's output on few memories?",
            definition="""
(sum c)^2 / sum c^2 for c = |m| x length of v: as many equal memories would be as concentrated. Beside it 1 / sum
p^2 for p = softmax of the keys' scores, as if the layer were a softmax memory (Sukhbaatar et al. 2015).""",
            conclude="It counts by size: memories that cancel each other count as well.",
            applies=applies,
            reading=_participation_reading,
            sample=sample,
            charts=_participation_charts,
        ),
    ),
)

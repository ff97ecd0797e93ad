"""Section 5.2: does the last layer argue against what the stream proposes?"""

from collections.abc import Iterator

from ffmem.analyses.elimination import Case
from ffmem.studies.exhibit import Exhibit, Number, Table
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import share
from ffmem.studies.geva2021.refinement import ELIMINATION_CASES, applies, refined, sample
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments


def _reading(findings: Findings) -> str:
    found = refined(findings).elimination
    if not found.n:
        return "No prefix has a composition in the last layer."
    return (
        f"In {found.n:,} compositions the stream's candidate has, at the median, a rank of {share(found.residual_rank.value)} "
        f"of the vocabulary under the layer's output; in {share(found.residual_lowest.value)} it is among the lowest 1 %."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    found = refined(findings).elimination
    yield Number.of("median rank of R under y in last-layer compositions, of the vocabulary", "-", found.residual_rank)
    yield Number.of("compositions with R among the lowest 1 % under y (by chance 1 %)", "-", found.residual_lowest)


def _tables(findings: Findings) -> Iterator[Table]:
    drawn: tuple[Case, ...] = findings.get(ELIMINATION_CASES, tuple)
    yield Table(
        ELIMINATION_CASES,
        "Compositions of the last layer, to be judged",
        ("prefix", "stream's candidate (R)", "prediction (O)", "layer's own (Y)"),
        [_row(case) for case in drawn],
        holds_text=True,
    )


def _row(case: Case) -> dict[str, str | float]:
    """With an empty column for a person's judgement."""
    measured: dict[str, tuple[float, float, float]] = {
        "score of R": case.residual_token_scores,
        "score of O": case.output_token_scores,
        "rank of R": case.residual_token_ranks,
        "rank of O": case.output_token_ranks,
    }
    return {
        "prefix": case.prefix,
        "stream's candidate (R)": case.residual_token,
        "prediction (O)": case.output_token,
        "layer's own (Y)": case.ff_token,
        "related or distant": "",
        **{
            f"{name} under {where}": value
            for name, values in measured.items()
            for where, value in zip("ryo", values, strict=True)
        },
        "y raises R over O by": case.change,
        "veto": "yes" if case.change < 0 else "no",
    }


CHAPTER: Chapter[Geva2021] = Chapter(
    order=4.6,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=11.5,
            name="Section 5.2",
            title="Does the last layer eliminate candidates?",
            question="When the last layer makes a third candidate, does it argue against the stream's?",
            definition="""
The rank of R, the stream's candidate, under y, what the layer adds: 0 % of the vocabulary where y is for it, 100 % where
y is against it. The paper had people judge 100 cases: in 66 the new token was unrelated to the old one, in 34
related. Up to 100 cases for that lie beside this page.""",
            conclude="""
For a composition R must fall against the new token, so that y lowers it against that one in nearly every case, in an
untrained model too: that says nothing. A layer that eliminates puts R at the very end of its own ranking.""",
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            tables=_tables,
        ),
    ),
)

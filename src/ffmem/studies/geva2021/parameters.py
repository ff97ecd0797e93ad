"""Where a model's parameters are: how much of it is memories."""

from collections.abc import Iterator
from dataclasses import dataclass

from ffmem.analyses.accounting import count_parameters
from ffmem.studies.exhibit import Exhibit, Table
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, Experiment, StageListener


@dataclass(frozen=True)
class ParametersResult:
    """Numbers of parameters; see `ffmem.analyses.accounting.Parameters`."""

    attention: int
    feed_forward: int
    norms: int
    other: int
    total: int
    feed_forward_fraction: float


def _run(study: Geva2021, _: StageListener) -> ParametersResult:
    counted = count_parameters(study.model)
    return ParametersResult(
        attention=counted.attention,
        feed_forward=counted.feed_forward,
        norms=counted.norms,
        other=counted.other,
        total=counted.total,
        feed_forward_fraction=counted.feed_forward_fraction,
    )


def _result(findings: Findings) -> ParametersResult:
    return findings.get("parameters", ParametersResult)


def _reading(findings: Findings) -> str:
    counted = _result(findings)
    return (
        f"Feed-forward layers hold {share(counted.feed_forward_fraction)} of the parameters inside the layers: "
        f"{counted.feed_forward:,} of {counted.feed_forward + counted.attention:,}."
    )


def _tables(findings: Findings) -> Iterator[Table]:
    counted = _result(findings)
    parts = {
        "attention": counted.attention,
        "feed-forward layers": counted.feed_forward,
        "norms": counted.norms,
        "embeddings and the rest": counted.other,
    }
    rows = [{"part": part, "parameters": n, "% of all": round(100 * n / counted.total, 1)} for part, n in parts.items()]
    yield Table("parameters", "Parameters of each part", ("part", "parameters", "% of all"), rows)


CHAPTER = Chapter(
    order=1,
    experiments=lambda _: [Experiment("parameters", ParametersResult, _run)],
    results={"parameters": ParametersResult},
    exhibits=(
        Exhibit(
            order=21,
            name="Addition",
            title="Where the parameters are",
            question="How much of the model are its memories?",
            definition="""
Counted from the weights; a matrix that is used twice counts once. In the first Transformer attention has 4 d^2 and
a feed-forward layer 8 d^2.""",
            conclude="A share of parameters is not a share of what they do.",
            applies=lambda findings: "parameters" in findings.values,
            reading=_reading,
            sample=lambda findings: f"all {_result(findings).total:,} parameters",
            tables=_tables,
        ),
    ),
)

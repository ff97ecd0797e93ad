"""Table 2: the strongest values."""

from collections.abc import Iterator

import numpy as np

from ffmem.analyses.agreement import StrongValue
from ffmem.analyses.intervals import mean
from ffmem.studies.exhibit import Exhibit, Number, Table
from ffmem.studies.geva2021.agreement import agreement_of, applies, sample
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.layers import average, share
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments

_UPPER = 10 / 16
"""Where the upper layers begin in which the paper looks for its strongest values."""


def _reading(findings: Findings) -> str:
    strongest = agreement_of(findings).strongest
    matched = [one for one in strongest if one.n_matches]
    if not matched:
        return f"None of the {len(strongest)} strongest values has a trigger that is followed by its top token."
    followed = average(one.n_matches / one.n_triggers for one in matched)
    return (
        f"Of the {len(strongest)} strongest values {len(matched)} have a trigger that is followed by their top token; in those "
        f"{share(followed)} of the triggers are."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    strongest, index = agreement_of(findings).strongest, findings.index
    documents = np.array([one.document for one in strongest])
    upper = [index.cells.place(one.cell)[0] >= round(index.n_layers * _UPPER) for one in strongest]
    matched = [one.n_matches > 0 for one in strongest]
    quantity = f"of the {len(strongest)} strongest values, in the upper 6/16 of the layers"
    yield Number.of(quantity, "97 %", mean(np.array(upper), documents))
    quantity = "of these values, with a trigger followed by the top token"
    yield Number.of(quantity, "46 %", mean(np.array(matched), documents))


def _tables(findings: Findings) -> Iterator[Table]:
    vocabulary = findings.index.text.vocabulary
    yield Table(
        "strongest-values",
        "The values with the largest probability",
        ("value", "top token", "probability", "triggers followed by it", "triggers"),
        [_row(one, vocabulary[one.top_token]) for one in agreement_of(findings).strongest],
    )


def _row(value: StrongValue, top_token: str) -> dict[str, str | float | None]:
    return {
        "value": str(value.cell) if value.sign > 0 else f"{value.cell} below 0",
        "top token": top_token,
        "probability": round(value.probability, 6),
        "triggers followed by it": value.n_matches,
        "triggers": value.n_triggers,
        "precision": round(value.n_matches / value.n_triggers, 4) if value.n_triggers else None,
    }


CHAPTER: Chapter[Geva2021] = Chapter(
    order=3.5,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=6.5,
            name="Table 2",
            title="The strongest values",
            question="Where are the values with the largest probability, and do their triggers say the same?",
            definition="""
The 100 values of all layers with the largest probability, and how many of their triggers are followed by their top
token.""",
            conclude="They are a selection by the length of the value as much as by its direction; see Figure 6.",
            applies=applies,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            tables=_tables,
        ),
    ),
)

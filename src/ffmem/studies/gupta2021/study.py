"""The experiment on layers that are made of their first k cells alone: Gupta et al. 2021."""

from collections.abc import Iterator

from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.gupta2021.context import NAME, Gupta2021, begin, control_of
from ffmem.studies.gupta2021.options import TruncationOptions
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out = findings.index, findings.header["held_out"]
    counts, facts, identity = index.manifest.counts, index.manifest.model, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {facts.activation}{', gated' if facts.gated else ''}"
    yield from findings.left_out()
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield "seed", str(findings.header["options"]["seed"])


STUDY: Study[Gupta2021] = Study(
    name=NAME,
    kicker="How many memories a layer needs",
    paper="Gupta, Dar, Goodman, Ciprut and Berant, SustaiNLP 2021",
    intro=(
        "A layer's output is a sum over all its cells. Gupta et al. keep at each token the k cells of largest activation "
        "alone, to save memory, and see nearly the same scores (UnifiedQA-base on SQuAD: F1 88.4 with k from 128 of 3,072 "
        "cells up, 86.8 with 32, 83.7 with 16). Here a model keeps k cells, by several orders, in one layer or in all, and is "
        "held to the next token of text."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew. - stands where the paper gives no number. What is said to be "
        "shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=TruncationOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, control_of("shuffled")),
    ),
)

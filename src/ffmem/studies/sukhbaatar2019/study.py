"""The experiment on memories that stand in the softmax of attention: Sukhbaatar et al. 2019."""

from collections.abc import Iterator

from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.sukhbaatar2019.context import NAME, Sukhbaatar2019, begin, control_of
from ffmem.studies.sukhbaatar2019.options import SoftmaxOptions


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out, options = findings.index, findings.header["held_out"], findings.header["options"]
    counts, identity = index.manifest.counts, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {index.manifest.model.activation}"
    yield "beside", options["beside"] or "no model with ReLU cells"
    if options["another"]:
        yield "further models", ", ".join(options["another"])
    yield from findings.left_out()
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield "seed", str(options["seed"])


STUDY: Study[Sukhbaatar2019] = Study(
    name=NAME,
    kicker="Memories in the softmax of attention",
    paper="Sukhbaatar, Grave, Lample, Jegou and Joulin, 2019",
    intro=(
        "Sukhbaatar et al. leave feed-forward layers out, and give each head of attention N keys and values of its own, "
        "which stand in one softmax with those of the context. A coefficient is then a weight: never 0, and the less the more "
        "context competes. Here such a model is read as layers of memories, and held against one of the same size with ReLU "
        "cells: how many memories are in use, whether values agree with keys, and what is predicted."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew. - stands where the paper gives no number. What is said to be "
        "shown or contradicted is so at 5 % for all claims of this page together. Same text, same size, few seeds: no "
        "verdict on architectures."
    ),
    options=SoftmaxOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, control_of("shuffled")),
    ),
)

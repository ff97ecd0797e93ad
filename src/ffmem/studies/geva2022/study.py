"""The experiments on value updates: Geva et al. 2022, with those on confidence and on universal cells that followed."""

from collections.abc import Iterator

from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.geva2022.context import NAME, Geva2022, begin, control_of
from ffmem.studies.geva2022.options import UpdateOptions
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out = findings.index, findings.header["held_out"]
    counts, facts, identity = index.manifest.counts, index.manifest.model, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    gated = ", gated: the sign of a coefficient is a convention, and is shown" if facts.gated else ""
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {facts.activation}{gated}"
    yield from findings.left_out()
    if "adaptive" in facts.projections:
        yield "vocabulary", "an adaptive softmax: values are read by how log-probabilities change at a state of zeros"
    yield "indexed", f"{counts.n_sentences:,} sentences, {counts.n_tokens:,} tokens of {findings.corpus}"
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield "seed", str(findings.header["options"]["seed"])


def _left_out(findings: Findings) -> Iterator[str]:
    if findings.header["options"]["other"] is None:
        yield (
            "Universal cells: no other model is given. Name another checkpoint or seed of the same kind of model with --other, "
            "to see which cells it has, too."
        )
    yield (
        "People found a concept in 55.1 % (WikiLM) and 37 % (GPT-2) of the top-30 tokens of dominant values, and in 22.7 % and "
        "16 % of random ones. Nobody judges here, so there is no number to set beside these."
    )


STUDY: Study[Geva2022] = Study(
    name=NAME,
    kicker="What feed-forward layers add to a prediction, value by value",
    paper="Geva, Caciularu, Wang and Goldberg, EMNLP 2022",
    intro=(
        "Each layer's update is a sum of sub-updates, one a cell: do they promote tokens or suppress them, and do their values "
        "hold concepts (Geva, Caciularu, Wang and Goldberg, EMNLP 2022)? Which cells act on the final norm, not on tokens "
        "(Stolfo et al., 2024), and which does another model have, too (Gurnee et al., 2024)? The papers' models are WikiLM, "
        "GPT-2, Pythia, LLaMA 2 and others; where this one differs, equal numbers are not to be expected: what can be compared "
        "are shapes."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew (values: cells). - stands where the papers give no number. "
        "What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=UpdateOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, control_of("shuffled")),
    ),
    left_out=_left_out,
)

"""The experiments on which cells are in use: Wild & Anderson 2024, with those of Li et al. and Voita et al. 2023."""

from collections.abc import Iterator

from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.wild2024.context import NAME, Wild2024, begin, control_of
from ffmem.studies.wild2024.options import SparsityOptions
from ffmem.studies.wild2024.use import told_rule


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, identity = findings.index, findings.header["index"]
    counts, facts = index.manifest.counts, index.manifest.model
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {facts.activation}{', gated' if facts.gated else ''}"
    yield from findings.left_out()
    yield "indexed", f"{counts.n_sentences:,} sentences, {counts.n_tokens:,} tokens of {findings.corpus}"
    yield from (("active", told) for told in told_rule(findings))
    yield "seed", str(findings.header["options"]["seed"])


def _left_out(findings: Findings) -> Iterator[str]:
    if not findings.header["options"]["earlier"]:
        yield (
            "Cells that turn off: no index of an earlier moment of training is given. Name one with --earlier, over the same "
            "text, to see which cells were in use then and are not now."
        )


STUDY: Study[Wild2024] = Study(
    name=NAME,
    kicker="How many cells are in use, and which are dead",
    paper="Wild and Anderson, 2024",
    intro=(
        "How many cells of each layer does a token use, a sentence, a window of text, and which are never used (Wild and "
        "Anderson, 2024; Li et al., 2023)? Which come on at a few tokens alone, and which at a place in the sentence (Voita, "
        "Ferrando and Nalmpantis, 2023)? The papers' models have six layers of 32,768 cells, are T5 and ViT, or are OPT; where "
        "this one differs, equal numbers are not to be expected: what can be compared are shapes."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents or windows anew (shares of cells: Wilson's, or by drawing cells). - "
        "stands where the papers give no number. What is said to be shown or contradicted is so at 5 % for all claims of this "
        "page together. Dead means: on this text."
    ),
    options=SparsityOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, control_of("shuffled")),
    ),
    left_out=_left_out,
)

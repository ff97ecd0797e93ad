"""The experiments on the geometry of states: Valeriani et al. 2023, held against arXiv 2405.15471."""

from collections.abc import Iterator

from ffmem.studies.controls import SHUFFLED, UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.valeriani2023.context import NAME, Valeriani2023, begin, control_of
from ffmem.studies.valeriani2023.findings import TEXT, geometry
from ffmem.studies.valeriani2023.options import GeometryOptions


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, identity = findings.index, findings.header["index"]
    facts = index.manifest.model
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {facts.activation}{', gated' if facts.gated else ''}"
    yield from findings.left_out()
    if TEXT in findings.values:
        found = geometry(findings)
        yield "points", f"{found.n_points:,} sentences of {findings.corpus}"
        labels = f"{found.n_labels} values of {found.label_field}" if found.n_labels else "none: documents do not say"
        yield "labels", labels
        yield "neighbours", f"k = {found.k}; dimensions by GRIDE at n = {found.order}"
    yield "seed", str(findings.header["options"]["seed"])


def _left_out(findings: Findings) -> Iterator[str]:
    if TEXT in findings.values and not geometry(findings).n_labels:
        yield "Topics: the documents of this text do not say what they are about."


STUDY: Study[Valeriani2023] = Study(
    name=NAME,
    kicker="The geometry of states",
    paper="Valeriani, Doimo, Cuturello, Laio, Ansuini and Cazzaniga, NeurIPS 2023",
    intro=(
        "Every sentence is a point in every layer. How many dimensions does the cloud of all points have, who is whose "
        "neighbour, and when are neighbours about the same thing? Valeriani et al. look at models of images and of proteins: "
        "the dimension rises to a peak in early layers, falls, and stays low or rises a little again; labels are best told at "
        "the relative minimum after the peak. Of five language models another paper (arXiv 2405.15471) says that abstraction "
        "sits at the peak, that it is low for shuffled text, and absent before training. Both readings are tested here."
    ),
    note=(
        "In brackets: 95 % intervals, by parts of the documents drawn without putting back, since a document that is drawn "
        "twice would be its own neighbour. ~ marks numbers of the paper that were not checked against its text; - stands where "
        "it gives none. What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=GeometryOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(
        Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),
        Control("shuffled", SHUFFLED, control_of("shuffled")),
    ),
    left_out=_left_out,
)

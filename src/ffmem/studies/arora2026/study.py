"""The study of circuits: how few cells carry a task, and whether they carry it alone."""

from collections.abc import Iterator

from ffmem.studies.arora2026.context import NAME, CircuitStudy, begin, untrained
from ffmem.studies.arora2026.findings import TASK, task_of
from ffmem.studies.arora2026.options import CircuitOptions
from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    identity, options = findings.header["index"], findings.header["options"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "task", f"{findings.corpus}, pairs {identity['corpus']['pairs_sha256'][:12]}"
    if TASK in findings.values:
        found = task_of(findings)
        yield "cells", f"{found.n_cells:,}"
        yield "pairs", f"{found.n:,}, of which {found.n_right:,} are right and of equal length"
    yield "circuits", f"of {options['size']:,} cells at positions a template, where claims are about one size"
    yield "steps of integrated gradients", str(options["steps"])
    yield "seed", str(options["seed"])


def _left_out(_: Findings) -> Iterator[str]:
    yield (
        "Heads are not taken out: a circuit here is one of cells. The graph of one prompt, with heads and edges, is what "
        "`ffmem circuit` draws."
    )
    yield "The papers' data sets are not read: the pairs are ffmem's own, or a file's."


STUDY: Study[CircuitStudy] = Study(
    name=NAME,
    kicker="Few cells carry a task, and do they carry it alone?",
    paper="Arora et al. 2026, with RelP (2025)",
    intro=(
        "Which cells, at which positions, make a model prefer the right word to the wrong one? Arora et al. (2026) found by "
        "relevance (RelP, 2025) that about a hundred cells of Llama-3.1-8B carry subject-verb agreement. Numbers that are "
        "set beside are as others report them of that paper; where model and sentences differ, equal numbers are not to be "
        "expected."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing prompts anew. - stands where the paper gives no number. What is said to be "
        "shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=CircuitOptions,
    begin=begin,
    facts=_facts,
    controls=(Control("untrained", f"{UNTRAINED}, on 30 pairs of a template", untrained, says_nothing=True),),
    source_help="An index, whose model is asked; or a model, as for `ffmem index`.",
    texts_help="None: pairs come from --task.",
    left_out=_left_out,
    title=lambda findings: f"Circuits of {findings.model}: {findings.corpus}",
)

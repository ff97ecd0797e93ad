"""Memories through training: the same cells at several moments of one training."""

from collections.abc import Iterator

from ffmem.studies.controls import Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.training.context import NAME, SHUFFLED, Training, begin, shuffled
from ffmem.studies.training.courses import has_steps, moments_in
from ffmem.studies.training.options import TrainingOptions


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, moments = findings.index, moments_in(findings)
    counts = index.manifest.counts
    yield "moments", f"{len(moments)}: {', '.join(str(one['name']) for one in moments)}"
    yield "weights", f"from {moments[0]['weights_sha256'][:12]} to {moments[-1]['weights_sha256'][:12]}"
    yield "cells", f"{index.n_cells:,}: {index.cells.describe()}; {index.manifest.model.activation}"
    yield from findings.left_out()
    yield (
        "indexed",
        f"{counts.n_sentences:,} sentences, {counts.n_tokens:,} tokens of {findings.corpus}, the same at each moment",
    )
    yield "seed", str(findings.header["options"]["seed"])


def _title(findings: Findings) -> str:
    first, last = (str(moments_in(findings)[number]["name"]) for number in (0, -1))
    return f"Memories from {first} to {last}, on {findings.corpus}"


def _left_out(findings: Findings) -> Iterator[str]:
    if "names" not in findings.values:
        yield "Names: the last moment has none. Name the cells of each moment: ffmem names INDEX."
    if findings.header["options"]["seed_other"] is None:
        yield "Seeds: no other seed is given. Name the index of its last moment with --seed-other."
    if not findings.index.manifest.model.predicts_next_token:
        yield (
            "Agreement, and whether cells fire alike: these are measured on causal language models only, and this "
            "model is none."
        )
    if not has_steps(findings):
        yield "Steps: no model's folder, name or revision tells the step of each moment, so that moments are numbered as given."
    if moments_in(findings)[0]["step"] != 0:
        yield "The first moment is not step 0: what was learned before it is not seen."


STUDY: Study[Training] = Study(
    name=NAME,
    kicker="Memories through training",
    paper="no single paper: Voita et al. 2023; Gurnee et al. 2024",
    intro=(
        "When does a cell get its triggers, its value, its agreement; how far does it move; when does it die? Cells "
        "are followed one "
        "by one through the moments of one training: within it, an id is the same cell. No paper followed cells "
        "singly, so that few "
        "numbers stand beside: shares of dead cells (Voita et al., 2023) and of cells that other seeds have (Gurnee et "
        "al., 2024)."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew (lives and seeds: cells). - stands where no paper "
        "gives a number. What "
        "is said to be shown or contradicted is so at 5 % for all claims of this page together, about this one "
        "training. The control "
        "has the cells of each layer in another order at each moment: what it shows as well is not about single cells, "
        "but about layers."
    ),
    options=TrainingOptions,
    source_help="The index of the last moment; --earlier names the others.",
    texts_help="None.",
    needs_index=True,
    begin=begin,
    facts=_facts,
    controls=(
        Control(SHUFFLED, "the same moments with the cells of each layer in another order at each of them", shuffled),
    ),
    left_out=_left_out,
    title=_title,
    begins_untrained="the first moment has learned nothing where it is step 0; what is left out says where it is not",
)

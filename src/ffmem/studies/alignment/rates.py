"""The experiments: attention is read, aligners learn, and all links are scored."""

from collections.abc import Iterator
from dataclasses import dataclass

from ffmem.analyses.alignment.aligner import LearnedLinks, Method
from ffmem.analyses.alignment.extract import Extraction, extract
from ffmem.analyses.alignment.links import as_talp
from ffmem.store.files import atomic_write
from ffmem.studies.alignment.context import Context
from ffmem.studies.alignment.experiment import pick_links, right_links, row_sums, score_all
from ffmem.studies.alignment.findings import ERROR_RATES, AlignmentStudy, Picked
from ffmem.studies.checkpoint import Checkpoint
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener

_EXTRACTION = "extraction"
_LEARNED, _PICKED = "links-", "picked-"
"""What the names of several experiments begin with."""


@dataclass(frozen=True)
class Extracted:
    """That attention is read; what came of it are arrays, which lie beside."""

    n_pairs: int
    n_cells: int
    """Of all maps of one layer."""


def _extract(context: Context, progress: StageListener) -> Extracted:
    checkpoint = Checkpoint(context.results, _EXTRACTION)
    arrays = checkpoint.load()
    found = extract(
        context.model,
        context.material.pairs,
        lambda done, n: progress(Stage(_EXTRACTION, done, n)),
        begun=None if arrays is None else Extraction.from_arrays(arrays),
        keep=lambda so_far: checkpoint.keep(so_far.arrays),
    )
    context.results.save_arrays(_EXTRACTION, found.arrays())
    return Extracted(found.n_pairs, found.n_cells)


def _extraction(context: Context) -> Extraction:
    return Extraction.from_arrays(context.results.load_arrays(_EXTRACTION))


def _learning(method: Method) -> Experiment[Context]:
    name = f"{_LEARNED}{method}"

    def run(context: Context, progress: StageListener) -> LearnedLinks:
        return context.material.learn(method, lambda _, done, n: progress(Stage(name, done, n)))

    return Experiment(name, LearnedLinks, run)


def _score(context: Context, _: StageListener) -> AlignmentStudy:
    learned = [context.results.load(f"{_LEARNED}{one}", LearnedLinks) for one in context.material.aligners]
    found = _extraction(context)
    study = score_all(context.model.facts.name, found, context.material, learned)
    sums = row_sums(study, found, right_links(context.material, learned))
    context.results.save_arrays(ERROR_RATES, {"above": sums.above, "below": sums.below})
    return study


def _pick(context: Context, _: StageListener) -> Picked:
    study = context.results.load(ERROR_RATES, AlignmentStudy)
    picked = pick_links(study, _extraction(context), context.options.pick)
    lines = "".join(f"{as_talp(one)}\n" for one in picked.links)
    atomic_write(context.results.folder / f"{_file_name(picked.name)}.talp", lines.encode())
    return picked


def _file_name(pick: str) -> str:
    return _PICKED + pick.replace(":", "-")


def _experiments(context: Context) -> Iterator[Experiment[Context]]:
    yield Experiment(_EXTRACTION, Extracted, _extract)
    yield from map(_learning, context.material.aligners)
    yield Experiment(ERROR_RATES, AlignmentStudy, _score)
    yield Experiment(_file_name(context.options.pick or "by-norm"), Picked, _pick)


CHAPTER: Chapter[Context] = Chapter(
    order=0,
    experiments=_experiments,
    results={_EXTRACTION: Extracted, _LEARNED: LearnedLinks, ERROR_RATES: AlignmentStudy, _PICKED: Picked},
    exhibits=(),
)

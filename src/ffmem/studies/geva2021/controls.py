"""The controls of the study: indexes of the untrained and of the shuffled model, over the first tokens of the same text."""

from dataclasses import replace

from ffmem.index.build import build_requested
from ffmem.index.indexed_model import load_indexed_model
from ffmem.index.machine import device_here
from ffmem.index.progress import Progress
from ffmem.index.request import Request
from ffmem.index.text.cut import TextOfIndex
from ffmem.models.controls import ControlKind
from ffmem.options import RunOptions
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index, open_index
from ffmem.studies.controls import CONTROLS
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.study import Stage, StageListener, Subject

_PREFIXES = 1000
_EDITED_CELLS = 10
_SCORED_CELLS, _SCORED_POSITIONS = 50, 2000
_REMOVED_PREFIXES = 100
_MEANING_POSITIONS, _MEANING_CELLS, _TRANSPLANTED = 20_000, 50, 200


def begin_control(shared: Geva2021, kind: ControlKind, listen: StageListener) -> Geva2021:
    """The same experiments, on fewer cells and prefixes: the prefixes are some of the study's own."""
    index, trusted, device = _index(shared, kind, listen), shared.subject.trust_remote_code, shared.subject.device
    return Geva2021(
        index,
        _fewer(shared.options),
        Subject(lambda: load_indexed_model(index, device=device, trust_remote_code=trusted), index.folder, index),
        study=shared,
    )


def _fewer(options: StudyOptions) -> StudyOptions:
    return replace(
        options,
        prefixes=min(options.prefixes, _PREFIXES),
        edited_cells=min(options.edited_cells, _EDITED_CELLS),
        scored_cells=min(options.scored_cells or _SCORED_CELLS, _SCORED_CELLS),
        scored_positions=min(options.scored_positions, _SCORED_POSITIONS),
        meaning_positions=min(options.meaning_positions, _MEANING_POSITIONS),
        meaning_cells=min(options.meaning_cells, _MEANING_CELLS),
        removed_prefixes=min(options.removed_prefixes, _REMOVED_PREFIXES),
        transplanted=min(options.transplanted, _TRANSPLANTED),
    )


def _index(shared: Geva2021, kind: ControlKind, listen: StageListener) -> Index:
    """The index of a control; it takes less text, since it has to show a shape and not a digit."""
    folder = shared.results.folder / CONTROLS / kind
    if StorePaths(folder).manifest.exists():
        return open_index(folder)
    n_tokens = min(shared.options.control_tokens, shared.index_options.max_tokens or shared.options.control_tokens)
    model, moved_to = shared.index.manifest.identity.model, shared.subject.source
    options = replace(shared.index_options, max_tokens=n_tokens, exclude_shards=None, dictionary=())
    request = Request(
        model=f"{kind}:{moved_to or model.source}",
        revision=None if moved_to else model.revision,
        corpora=(TextOfIndex(shared.index),),
        options=replace(options, device=shared.subject.device or device_here(options.device)),
    )

    def hear(progress: Progress) -> None:
        listen(Stage(f"index, {progress.stage}", progress.n_tokens, progress.n_tokens_all))

    folder.mkdir(parents=True, exist_ok=True)
    run = RunOptions(trust_remote_code=shared.subject.trust_remote_code)
    return build_requested(request, folder, run, hear)

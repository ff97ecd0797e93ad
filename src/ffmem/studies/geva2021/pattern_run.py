"""The experiment on patterns. With it comes all that loads models, so its chapter imports it only when it runs."""

from dataclasses import replace

from ffmem.analyses.patterns.alike import measure_likeness
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.results import Patterns, Scores
from ffmem.analyses.patterns.scoring import score_patterns
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.store.files import atomic_write
from ffmem.studies.geva2021.cell_patterns import PATTERNS
from ffmem.studies.geva2021.context import Geva2021
from ffmem.studies.geva2021.pattern_results import PatternsResult, ScoresResult
from ffmem.studies.results import as_csv
from ffmem.studies.study import Stage, StageListener


def run_patterns(study: Geva2021, listen: StageListener) -> PatternsResult:
    """Patterns, how alike triggers are, and scores on held-out text; a table of each layer's patterns beside the results."""
    index, options = study.index, study.options
    begin = Stage("patterns", 0, 3 * index.n_layers)
    patterns = measure_patterns(
        index,
        seed=options.seed,
        on_layer=lambda place: listen(replace(begin, done=place + 1)),
    )
    likeness = measure_likeness(
        index,
        Tokens.of(index),
        patterns.meaning,
        seed=options.seed,
        on_layer=lambda place: listen(replace(begin, done=index.n_layers + place + 1)),
    )
    scores = None
    if index.text.n_sentences < index.text.n_all_sentences:
        scores = score_patterns(
            index,
            study.model,
            patterns,
            n_prefixes=options.scored_positions,
            n_units=options.scored_cells or None,
            seed=options.seed,
            on_layer=lambda place: listen(replace(begin, done=2 * index.n_layers + place + 1)),
        )
    _write_tables(study, patterns, scores)
    return PatternsResult(
        semantic=patterns.meaning.kind if patterns.meaning else None,
        why_not_semantic=None
        if patterns.meaning
        else "documents have no topics, and the text is too small for clusters of words",
        layers=patterns.layers,
        controls=patterns.controls,
        chance=patterns.chance,
        scores=None if scores is None else ScoresResult(scores.n_prefixes, scores.layers),
        likeness=likeness,
    )


def _write_tables(study: Geva2021, patterns: Patterns, scores: Scores | None) -> None:
    folder = study.results.folder / PATTERNS
    folder.mkdir(exist_ok=True)
    for place, layer in enumerate(study.index.cells.layers):
        rows = [one.to_json() for one in patterns.accepted(study.index, place, scores=scores)]
        atomic_write(folder / f"{layer.name}.csv", as_csv(rows))

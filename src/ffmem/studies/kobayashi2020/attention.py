"""The experiment that all exhibits of the study are made of: texts are read once."""

from ffmem.studies.checkpoint import Checkpoint
from ffmem.studies.kobayashi2020.context import Context
from ffmem.studies.kobayashi2020.findings import EXPERIMENT, AttentionFindings
from ffmem.studies.kobayashi2020.statistics import reproduce_attention
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener


def _run(context: Context, progress: StageListener) -> AttentionFindings:
    return reproduce_attention(
        context.model,
        context.corpus,
        context.options,
        lambda what, done, total: progress(Stage(f"{EXPERIMENT}: {what}", done, total)),
        Checkpoint(context.results, EXPERIMENT),
    )


CHAPTER: Chapter[Context] = Chapter(
    order=0,
    experiments=lambda _: (Experiment(EXPERIMENT, AttentionFindings, _run),),
    results={EXPERIMENT: AttentionFindings},
    exhibits=(),
)

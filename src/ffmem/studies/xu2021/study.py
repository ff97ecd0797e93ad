"""The experiment on where words are translated, layer by layer: Xu et al. 2021."""

from collections.abc import Iterator
from pathlib import Path

from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.xu2021.context import NAME, Xu2021, begin
from ffmem.studies.xu2021.findings import TEXT, text_in
from ffmem.studies.xu2021.options import TranslationOptions


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    if TEXT not in findings.values:
        return
    text, options = text_in(findings), findings.header["options"]
    yield "model", f"{findings.model}: {len(text.encoder) - 1} + {len(text.decoder) - 1} layers"
    yield "tested on", f"{text.n_test:,} pairs of {findings.corpus}"
    yield "learned from", f"{text.n_learned:,} of {text.n_train:,} pairs of {Path(options['train_source']).name}"
    yield "counted", f"{text.n_counted:,} tokens, which the training pairs have at least {options['seen']} times"
    yield "map by norms", f"that of {text.norms_layer}, the cross-attention layer with the highest mean norm"
    yield "seed", f"{options['seed']} of the pairs; 0, 1 and 2 of what is trained"


def _left_out(findings: Findings) -> Iterator[str]:
    if TEXT not in findings.values:
        return
    text = text_in(findings)
    if text.n_rare:
        yield f"Not counted: {text.n_rare:,} tokens that the training pairs have fewer times."
    if text.n_repeated:
        yield f"Left out: {text.n_repeated:,} test pairs that the training pairs have too."
    if text.n_long:
        yield f"Left out: {text.n_long:,} drawn pairs that are longer than the context of the model."


STUDY: Study[Xu2021] = Study(
    name=NAME,
    kicker="Where a source word becomes a target word",
    paper="Xu, van Genabith, Liu and Xiong, NAACL 2021",
    intro=(
        "Xu et al. read every layer of a frozen translation model with its own head: a decoder's states as they are, an "
        "encoder's through one mix of all cross-attention maps. They see that source embeddings already translate, that it "
        "grows through the encoder, and that low decoder layers add little; so they trade decoder layers for encoder layers "
        "(18 + 4: +1.42 BLEU at 1.4 times the speed). Here the same is measured on this model; its per-layer "
        "numbers are not set beside the paper's, which are of other languages and far larger models."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing pairs anew. - stands where the paper gives no number that could be compared. "
        "What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=TranslationOptions,
    begin=begin,
    facts=_facts,
    controls=(Control("untrained", UNTRAINED, Xu2021.untrained, says_nothing=True),),
    source_help="An encoder-decoder: a Hugging Face id (or id@revision) or folder.",
    texts_help="None: --source, --target, --train-source and --train-target name the pairs.",
    left_out=_left_out,
    title=lambda findings: f"Word translation by layer of {findings.subject}",
)

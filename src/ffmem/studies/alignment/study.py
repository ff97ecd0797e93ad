"""The study of Kobayashi et al. 2020, section 5: word alignments from attention."""

from collections.abc import Iterator

from ffmem.analyses.alignment.aligner import is_installed
from ffmem.studies.alignment.context import NAME, Context, begin, untrained
from ffmem.studies.alignment.findings import is_there, study_in
from ffmem.studies.alignment.gains import right
from ffmem.studies.alignment.options import AlignmentOptions
from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    if not is_there(findings):
        return
    study = study_in(findings)
    yield (
        "model",
        f"{study.model}: {len(study.mean_norms)} layers of {len(study.mean_norms[0]) - 1} heads in its decoder",
    )
    yield "read", f"{study.n_pairs:,} pairs of {findings.corpus}"
    yield "error rates", right(study)


def _left_out(findings: Findings) -> Iterator[str]:
    if not is_there(findings):
        return
    for one in study_in(findings).left_out:
        yield (
            f"Left out of {one.name}: {one.n_links:,} of {one.n_read:,} links, which point beyond the words of their pair (the "
            f"first on line {one.first_line:,}: {one.first_link})."
        )
    if not any("align" in one.name for one in study_in(findings).others) and not is_installed():
        yield "No aligner stands beside: that needs the extra 'alignment', pip install -e '.[alignment]'."


STUDY: Study[Context] = Study(
    name=NAME,
    kicker="Attention is not only a weight",
    paper="Kobayashi, Kuribayashi, Yokoi and Inui (EMNLP 2020, section 5)",
    intro=(
        "The experiment of Kobayashi, Kuribayashi, Yokoi and Inui (EMNLP 2020, section 5) on this model: word alignments from "
        "the cross-attention of a translation model, by weights and by norms, beside the paper's numbers: means over "
        "five German-English Transformers of 6 + 6 layers trained on Europarl. Where this model or this text differs, equal "
        "numbers are not to be expected: what can be compared are shapes."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing pairs anew. The paper's numbers are those that its official notebook prints. "
        "What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=AlignmentOptions,
    source_help="An encoder-decoder: a Hugging Face id (or id@revision) or folder.",
    texts_help="None: --source and --target name the pairs.",
    begin=begin,
    facts=_facts,
    controls=(Control("untrained", UNTRAINED, untrained, says_nothing=True),),
    left_out=_left_out,
    title=lambda findings: f"Word alignments of {findings.subject}",
)

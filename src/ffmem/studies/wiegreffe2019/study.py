"""Whether predictions need a model's attention weights, and whether others would do: Wiegreffe and Pinter 2019."""

from collections.abc import Iterator

from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study
from ffmem.studies.wiegreffe2019.context import NAME, Wiegreffe2019, begin, control_of
from ffmem.studies.wiegreffe2019.options import DiagnosticOptions


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out, options = findings.index, findings.header["held_out"], findings.header["options"]
    counts, identity = index.manifest.counts, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield "inputs", f"sentences of at most {options['length']} tokens, each by itself"
    yield "special tokens", f"--bos {index.manifest.options.bos}, as in the index"
    yield "seed", str(options["seed"])


def _left_out(findings: Findings) -> Iterator[str]:
    if not findings.header["options"]["other"]:
        yield "No other seed or moment is given (--other MODEL), so nothing is said of how maps vary with training."
    if not findings.header["options"]["tuning_steps"]:
        yield "No model was tuned to look elsewhere (--tuning-steps 300): adversaries are those of single texts."
    if "guide" not in findings.values:
        yield (
            "No classifier was guided by these maps: that needs an index whose documents say what they are about (topic, "
            "label, category or genre), and some of them held out."
        )


STUDY: Study[Wiegreffe2019] = Study(
    name=NAME,
    kicker="Whether attention is an explanation",
    paper="Wiegreffe and Pinter, EMNLP 2019",
    intro=(
        "Jain and Wallace (2019) found weights unlike a classifier's own that leave its predictions as they are, and "
        "concluded that attention explains nothing. Wiegreffe and Pinter asked first whether the weights are needed at "
        "all, how much they vary with the seed, and whether others can be had of one model for all texts. Theirs are "
        "recurrent classifiers of one attention layer; here a language model's own weights are replaced in all its heads, "
        "or one by one, and norms of what is added (Kobayashi et al. 2020) stand beside weights. Equal numbers are not to "
        "be expected: shapes can be compared."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew. ~ marks numbers of the paper that were not checked against "
        "its published text. What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=DiagnosticOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),),
    left_out=_left_out,
)

"""The audit of what was memorised: Carlini et al. 2019 and 2021, membership by several scores, and cells."""

from collections.abc import Iterator

from ffmem.studies.carlini2021 import canaries, cells, injection
from ffmem.studies.carlini2021.context import NAME, Audit, begin, untrained
from ffmem.studies.carlini2021.membership import told_apart_blind
from ffmem.studies.carlini2021.options import AuditOptions
from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    identity, options = findings.header["index"], findings.header["options"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "trained on", findings.corpus
    new, default = identity["held_out"], "what an index of the training text holds out by default, if it was left out"
    yield "new to the model", new["name"] if new else default
    if findings.header["planted_sha256"]:
        yield "planted", f"{options['planted']}, {findings.header['planted_sha256'][:12]}"
    if options["reference_model"]:
        yield "reference model", options["reference_model"]
    yield "read", "each line behind the model's special tokens" if options["lines"] else "documents as they are"
    yield "seed", str(options["seed"])


def _left_out(findings: Findings) -> Iterator[str]:
    if "membership" in findings.values and told_apart_blind(findings):
        yield "Nothing can be concluded from membership here: see the warning there."
    if canaries.EXPERIMENT not in findings.values:
        yield (
            "Exposure: nothing is known to be planted. Plant canaries with examples/reference_model/plant.py, train on that, "
            "and name its file with --planted."
        )
    if cells.EXPERIMENT not in findings.values:
        yield "Cells: no passage was looked at."
    if injection.EXPERIMENT not in findings.values:
        yield "Injection: left out, or the values of this model cannot be tuned, since it has experts or packed weights."


STUDY: Study[Audit] = Study(
    name=NAME,
    kicker="What was memorised",
    paper="Carlini et al., USENIX Security 2019 and 2021; Chang, Thomason and Jia, NAACL 2024",
    intro=(
        "What does this model remember of its training text: are its documents told from new ones, are secrets that were "
        "planted exposed (Carlini et al., USENIX Security 2019), is text given back word for word (Carlini et al., USENIX "
        "Security 2021), and which cells recall it (Chang, Thomason and Jia, NAACL 2024)? The papers' models are larger and "
        "their texts others: what can be compared are shapes."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents, canaries or passages anew. Everything rests on new text being of "
        "one kind with the training text: scores that never see the model stand beside, to tell whether it is. What is said to "
        "be shown or contradicted is so at 5 % for all claims of this page together. Nothing here proves that a text was, or "
        "was not, trained on."
    ),
    options=AuditOptions,
    source_help="A causal model as for `ffmem index`, or an index of one.",
    texts_help="The text that it was trained on, if --train does not name it: topics, a file, ..., as for `ffmem index`.",
    begin=begin,
    facts=_facts,
    controls=(Control("untrained", f"{UNTRAINED}, asked less", untrained, says_nothing=True),),
    left_out=_left_out,
    title=lambda findings: f"What {findings.model} has memorised of {findings.corpus}",
)

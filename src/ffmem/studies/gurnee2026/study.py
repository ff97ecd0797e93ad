"""The experiment on the Jacobian lens, beside other ways to read states and values: Gurnee et al. 2026."""

from collections.abc import Iterator

from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.gurnee2026.context import NAME, Gurnee2026, begin, control_of
from ffmem.studies.gurnee2026.options import LensOptions
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    index, held_out, options = findings.index, findings.header["held_out"], findings.header["options"]
    counts, facts, identity = index.manifest.counts, index.manifest.model, findings.header["index"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    yield "layers", f"{index.cells.describe()}; norms: {facts.norm_placement}"
    yield from findings.left_out()
    n, documents = counts.n_sentences_held_out, counts.n_documents_held_out
    kept_back = f"{n:,} sentences of {documents:,} documents that the index does not hold"
    yield "held out", held_out["name"] if held_out else kept_back
    yield (
        "reach",
        f"the last state of {'the same token' if options['reach'] == 'same' else 'all later tokens, too'}",
    )
    yield "seed", str(options["seed"])


STUDY: Study[Gurnee2026] = Study(
    name=NAME,
    kicker="How states and values are best read",
    paper="Gurnee et al., Verbalizable Representations Form a Global Workspace in Language Models, 2026",
    intro=(
        "A layer's state or value is read over the vocabulary as if it were the model's last state, though the layers "
        "above have yet to work on it. Gurnee et al. send it through the average Jacobian first: what a small change of "
        "the state does to the last state, on average over text. Here that lens stands beside the others, layer by layer: "
        "for states, values, and what cells do; on other documents than it is made of. The paper's J holds what a token "
        "does to later ones, too (--reach later), and leaves out the first 16 positions of an input, this one the first: "
        "by default its claims are held against another J than its own. That J is made with random signs, whose chance no "
        "interval here holds."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing documents anew. - stands where the paper gives no number of this kind. What "
        "is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=LensOptions,
    begin=begin,
    needs_index=True,
    facts=_facts,
    controls=(Control("untrained", UNTRAINED, control_of("untrained"), says_nothing=True),),
)

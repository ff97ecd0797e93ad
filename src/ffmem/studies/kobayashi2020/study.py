"""The study of Kobayashi et al. 2020 and 2021: attention by weights and by norms."""

from collections.abc import Iterator
from pathlib import Path

from ffmem.analyses.attention.options import AttentionOptions
from ffmem.json_values import json_text
from ffmem.store.files import atomic_write
from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.kobayashi2020.context import NAME, Context, begin, untrained
from ffmem.studies.kobayashi2020.findings import FIRST, AttentionFindings, attention_of, is_there
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def write_results(found: AttentionFindings, folder: Path) -> None:
    """Write ``results.json``: all numbers as one JSON document, null where there was nothing to estimate one from."""
    atomic_write(folder / "results.json", json_text(found, indent=1).encode())


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    if not is_there(findings):
        return
    found = attention_of(findings)
    yield "model", f"{found.model}: {len(found.layers)} attention sub-layers of {found.n_heads} heads"
    yield "read", f"{found.n_texts:,} texts, {found.n_tokens:,} tokens of {found.corpus}"
    yield "frequencies", f"of {found.n_counted:,} tokens of it"
    yield "categories", ", ".join(found.categories)
    yield "bias of W_V", "inside f(x), as in the paper; b_O belongs to no source"
    yield "seed", str(found.options.seed)


def _left_out(findings: Findings) -> Iterator[str]:
    if not is_there(findings):
        return
    found = attention_of(findings)
    if FIRST in found.categories:
        yield (
            "The tokenizer puts no special token before a text, so the token that happens to stand first is a category of its "
            "own: causal models are known to look there when there is nothing to look for."
        )
    if "AttnResLn-N" not in found.mixing:
        yield "No norm stands behind the residual sum in this model, so there is no mixing ratio with it (AttnResLn-N)."


STUDY: Study[Context] = Study(
    name=NAME,
    kicker="Attention is not only a weight",
    paper="Kobayashi, Kuribayashi, Yokoi and Inui (EMNLP 2020, section 4; EMNLP 2021)",
    intro=(
        "The experiments of Kobayashi, Kuribayashi, Yokoi and Inui (EMNLP 2020, section 4) and the mixing ratios of their "
        "second paper (EMNLP 2021) on this model and this text, beside the papers' numbers. Theirs are of BERT-base (uncased) "
        "on 992 texts of Wikipedia; where this model differs, equal numbers are not to be expected: what can be compared are "
        "shapes."
    ),
    note=(
        "In brackets: 95 % intervals; of correlations by leaving out a tenth of the texts at a time, of means by drawing "
        "documents anew. ~ marks numbers of the paper that were not checked against its published text. What is said to be "
        "shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=AttentionOptions,
    begin=begin,
    facts=_facts,
    controls=(Control("untrained", f"{UNTRAINED}, read on 100 of the texts", untrained, says_nothing=True),),
    left_out=_left_out,
    title=lambda findings: f"Attention of {findings.subject}",
)

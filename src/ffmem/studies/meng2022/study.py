"""The study of changed facts: Meng et al. 2022, beside what came before and after it."""

from collections.abc import Iterator

from ffmem.studies.controls import UNTRAINED, Control
from ffmem.studies.meng2022.context import NAME, Meng2022, begin, untrained
from ffmem.studies.meng2022.known import found_of, is_there
from ffmem.studies.meng2022.options import FactOptions
from ffmem.studies.results import Findings
from ffmem.studies.study import Study


def _facts(findings: Findings) -> Iterator[tuple[str, str]]:
    identity, options = findings.header["index"], findings.header["options"]
    yield "model", f"{findings.model}, weights {identity['model']['weights_sha256'][:12]}"
    if is_there(findings):
        found = found_of(findings)
        n = sum(one.is_known for one in found.facts)
        yield "facts", f"{len(found.facts)} asked, {n} qualify, {found.n_edited} are changed"
    yield (
        "set of facts",
        f"{options['facts'] or 'the one that comes with ffmem'}, {findings.header['facts_sha256'][:12]}",
    )
    yield "moments", f"over {options['moment_tokens']:,} tokens of {findings.corpus}, even documents"
    yield "held out", f"{options['side_tokens']:,} tokens of its odd documents"
    yield "seed", str(options["seed"])


STUDY: Study[Meng2022] = Study(
    name=NAME,
    kicker="Changing a fact, and what changes with it",
    paper="Meng, Bau, Andonian and Belinkov, NeurIPS 2022",
    intro=(
        "Facts that the model knows are changed in the values of its feed-forward layers: by one change of rank "
        "one (ROME, Meng, Bau, Andonian and Belinkov, NeurIPS 2022), many at once (MEMIT, ICLR 2023), bounded "
        "fine-tuning (Zhu et al. 2020) and at knowledge cells (Dai et al., ACL 2022). The papers' numbers are of "
        "GPT-2 XL on CounterFact; where this model and these facts differ, equal numbers are not to be expected. "
        "Beside what edits are for stands what else they change, over all cells and on other text."
    ),
    note=(
        "In brackets: 95 % intervals, by drawing facts anew, on other text by drawing documents; of scores by "
        "leaving out a fact at a time. - stands where the papers give no number, ~ for one that was not checked. "
        "What is said to be shown or contradicted is so at 5 % for all claims of this page together."
    ),
    options=FactOptions,
    begin=begin,
    facts=_facts,
    controls=(
        Control(
            "untrained",
            f"{UNTRAINED}; the old answer of a fact is what it says, and at most 6 facts are changed",
            untrained,
            says_nothing=True,
        ),
    ),
    source_help="A model, or an index, whose model and corpus are then meant.",
    texts_help="A corpus: even documents for edits, odd ones to measure on; by default topics.",
    title=lambda findings: f"Changed facts in {findings.subject}",
)

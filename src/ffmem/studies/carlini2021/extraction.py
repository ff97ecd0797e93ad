"""What a model gives back word for word when it is shown how it begins: Carlini et al. 2021 and 2023."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ffmem.analyses.intervals import Estimate, Sums, Uncertain, mean_ratio, numbered, proportion
from ffmem.analyses.memorised.extraction import Sequences, draw_sequences, eidetic, n_given_back
from ffmem.analyses.memorised.texts import ReadText, copies_in
from ffmem.analyses.resampling import of_draws
from ffmem.studies.carlini2021.context import Audit
from ffmem.studies.carlini2021.told import told
from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table
from ffmem.studies.geva2021.layers import points, share
from ffmem.studies.results import Findings, Results
from ffmem.studies.study import Chapter, Experiment, Stage, StageListener
from ffmem.studies.verdicts import above

EXPERIMENT = "extraction"
_GROUPS = ("training text", "new", "planted")
_PER_DOCUMENT = 2
"""Most runs of one document."""
_PER_PLANTED = 4
"""Most runs of one planted document."""
_FEW_COPIES = (1, 2, 4, 8, 16, 32, 64)
_N_SHOWN = 30


@dataclass(frozen=True)
class GroupFound:
    """Runs of one kind."""

    name: str
    n: int
    n_documents: int
    extracted: Estimate
    """Share that is given back whole."""
    given_back: Estimate
    """Share of the tokens behind the beginning that come before the first error."""


@dataclass(frozen=True)
class OfCopies:
    """Runs that so many training documents have."""

    low: int
    high: int
    """The last number of copies."""
    extracted: Estimate


@dataclass(frozen=True)
class Extracted:
    """A run that is given back whole."""

    document: str
    copies: int
    shown: str
    given_back: str


@dataclass(frozen=True)
class ExtractionResult:
    """Runs that were to be given back. What became of each lies beside it as arrays."""

    prefix: int
    suffix: int
    groups: tuple[GroupFound, ...]
    by_copies: tuple[OfCopies, ...]
    eidetic: dict[str, int]
    """How many different runs are k-eidetic, by k."""
    examples: tuple[Extracted, ...]


def sequences_of(audit: Audit) -> dict[str, tuple[Sequence[ReadText], Sequences]]:
    """The runs of each kind, with the texts that they are of."""
    options, length = audit.options, audit.options.prefix + audit.options.suffix
    planted = [] if audit.planted is None else [one.text for one in audit.planted.documents]
    first = {one.text: one for one in reversed(audit.train)}
    texts = {
        "training text": audit.plain,
        "new": audit.others,
        "planted": [first[one] for one in planted if one in first],
    }
    return {
        name: (
            some,
            draw_sequences(
                some,
                length,
                len(some) * _PER_PLANTED if name == "planted" else options.sequences,
                unknown=audit.unknown,
                per_text=_PER_PLANTED if name == "planted" else _PER_DOCUMENT,
                seed=options.seed,
            ),
        )
        for name, some in texts.items()
    }


def _run(audit: Audit, listen: StageListener) -> ExtractionResult:
    drawn, prefix, suffix = sequences_of(audit), audit.options.prefix, audit.options.suffix
    tokens = [one for _, found in drawn.values() for one in found.tokens]
    right = n_given_back(
        audit.model, tokens, prefix, on_texts=lambda done: listen(Stage(EXPERIMENT, done, len(tokens)))
    )
    copies = copies_in([one[prefix:] for one in tokens], audit.train)
    group = np.repeat(np.arange(len(_GROUPS)), [len(found.tokens) for _, found in drawn.values()])
    first = np.cumsum([0, *(len(some) for some, _ in drawn.values())])
    document = np.concatenate([first[number] + found.text for number, (_, found) in enumerate(drawn.values())])
    arrays = {"group": group, "document": document, "right": right, "copies": copies}
    audit.results.save_arrays(EXPERIMENT, arrays)
    whole = right == suffix
    texts = [text for some, _ in drawn.values() for text in some]
    decode = audit.model.tokenizer.decode
    order = sorted(np.flatnonzero(whole & (group != 1)).tolist(), key=lambda one: (copies[one], one))[:_N_SHOWN]
    return ExtractionResult(
        prefix=prefix,
        suffix=suffix,
        groups=tuple(_group(arrays, number, suffix) for number in range(len(_GROUPS)) if (group == number).any()),
        by_copies=tuple(_by_copies(whole, copies)),
        eidetic={str(most): eidetic(whole, copies, most) for most in _FEW_COPIES},
        examples=tuple(
            Extracted(
                texts[document[one]].name,
                int(copies[one]),
                decode(tokens[one][:prefix].tolist()),
                decode(tokens[one][prefix:].tolist()),
            )
            for one in order
        ),
    )


def _group(arrays: dict[str, np.ndarray], number: int, suffix: int) -> GroupFound:
    here = arrays["group"] == number
    right, document = arrays["right"][here], arrays["document"][here]
    groups = numbered(document)
    return GroupFound(
        name=_GROUPS[number],
        n=int(here.sum()),
        n_documents=groups[1],
        extracted=mean_ratio(Sums.of((right == suffix) * 1.0, *groups)).estimate,
        given_back=mean_ratio(Sums.of(right / suffix, *groups)).estimate,
    )


def _by_copies(whole: np.ndarray, copies: np.ndarray) -> Iterator[OfCopies]:
    for low, high in zip(_FEW_COPIES, [*(one - 1 for one in _FEW_COPIES[1:]), 2**31], strict=True):
        here = (copies >= low) & (copies <= high)
        if here.any():
            yield OfCopies(low, int(copies[here].max()), proportion(int(whole[here].sum()), int(here.sum())))


def _found(findings: Findings) -> ExtractionResult:
    return findings.get(EXPERIMENT, ExtractionResult)


def _groups(findings: Findings) -> dict[str, GroupFound]:
    return {one.name: one for one in _found(findings).groups}


def more_given_back(findings: Findings) -> Uncertain:
    """Share of tokens given back of the training text less that of new text, over documents of either drawn anew."""
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    means = []
    for number in (0, 1):
        here = arrays["group"] == number
        means.append(
            mean_ratio(Sums.of(arrays["right"][here] / _found(findings).suffix, *numbered(arrays["document"][here])))
        )
    first, second = means
    error = float(np.hypot(first.error, second.error))
    return Uncertain(first.value - second.value, error, min(first.n_groups, second.n_groups), first.n + second.n)


def _reading(findings: Findings) -> str:
    found = _found(findings)
    each = ", ".join(f"{share(one.extracted.value)} of the {one.n:,} runs ({one.name})" for one in found.groups)
    return f"Shown {found.prefix} tokens, the model gives the next {found.suffix} back: {each}."


def _sample(findings: Findings) -> str:
    return "; ".join(f"{one.n:,} runs of {one.n_documents:,} documents ({one.name})" for one in _found(findings).groups)


def _numbers(findings: Findings) -> Iterator[Number]:
    for one in _found(findings).groups:
        yield Number.of(f"given back whole, {one.name}", "-", one.extracted)
        yield Number.of(f"tokens given back before the first error, {one.name}", "-", one.given_back)
    for most in (_FEW_COPIES[0], _FEW_COPIES[-1]):
        n = _found(findings).eidetic[str(most)]
        yield Number(f"runs that are {most}-eidetic", "-", float(n), unit="runs")


def _claims(findings: Findings) -> Iterator[Claim]:
    if not {"training text", "new"} <= set(_groups(findings)):
        return
    more = more_given_back(findings)
    yield Claim(
        "more is given back of the training text than of new text",
        above(more),
        f"share of tokens before the first error, training text less new text: {points(more)}",
    )
    arrays = Results(findings.folder, findings.header).load_arrays(EXPERIMENT)
    planted = arrays["group"] == 2
    if planted.any() and len(np.unique(arrays["copies"][planted])) > 1:
        right, copies = arrays["right"][planted], np.log2(np.maximum(arrays["copies"][planted], 1))
        slope = _slope(copies * 1.0, right * 1.0, arrays["document"][planted])
        yield Claim(
            "the more documents of the training text have a run, the more of it is given back",
            above(slope, unit="tokens"),
            f"tokens more for each doubling, of planted documents: {told(slope.estimate)}",
        )


def _slope(x: np.ndarray, y: np.ndarray, documents: np.ndarray) -> Uncertain:
    """Of least squares, over documents drawn anew."""
    numbers, n = numbered(documents)
    drawn = np.random.default_rng(0).multinomial(n, np.full(n, 1 / n), size=2000)[:, numbers]
    mean_x, mean_y = (drawn @ one / drawn.sum(1) for one in (x, y))
    with np.errstate(invalid="ignore", divide="ignore"):
        slopes = (drawn @ (x * y) / drawn.sum(1) - mean_x * mean_y) / (drawn @ x**2 / drawn.sum(1) - mean_x**2)
    value = float(np.polyfit(x, y, 1)[0])
    return of_draws(value, slopes, n, len(x))


def _charts(findings: Findings) -> Iterator[Chart]:
    rows = [
        {
            "middle": one.low, "from": one.low, "to": one.high, "series": "runs",
            "value": one.extracted.value, "low": one.extracted.low, "high": one.extracted.high, "n": one.extracted.n,
        }
        for one in _found(findings).by_copies
    ]  # fmt: skip
    if len(rows) > 1:
        yield Chart(
            "given-back",
            "Runs given back whole, by how many training documents have them.",
            "points",
            rows,
            "given back whole",
            "training documents with the run",
        )


def _tables(findings: Findings) -> Iterator[Table]:
    found = _found(findings)
    counts = [{"k": int(most), "k-eidetic runs": n} for most, n in found.eidetic.items()]
    yield Table("k-eidetic", "Runs given back whole that at most k training documents have.", tuple(counts[0]), counts)
    rows = [
        {"document": one.document, "copies": one.copies, "shown": one.shown, "given back": one.given_back}
        for one in found.examples
    ]
    if rows:
        caption = "Runs that are given back, those in the fewest training documents first."
        yield Table("given-back-whole", caption, tuple(rows[0]), rows, holds_text=True, folded=True)


CHAPTER: Chapter[Audit] = Chapter(
    order=3,
    experiments=lambda _: (Experiment(EXPERIMENT, ExtractionResult, _run),),
    results={EXPERIMENT: ExtractionResult},
    exhibits=(
        Exhibit(
            order=3,
            name="Extraction",
            title="Text that is given back word for word",
            question="What does the model go on with when it is shown how a run of its training text begins?",
            definition="""
A run of tokens is extractable if greedy decoding from its first tokens gives the rest exactly; k-eidetic, if it is
extractable and at most k training documents have what is given back. Runs with a word that the model does not know are
left out. New: runs of documents that the model has not seen, which it can only guess. Planted: runs of documents that
were put into the training text a known number of times.""",
            conclude="""
What new text gives is what any model gives that writes well: only what goes beyond it is memory. Greedy decoding from so
short a beginning is one attack; a longer beginning, or sampling, gives back more.""",
            applies=lambda findings: EXPERIMENT in findings.values,
            reading=_reading,
            sample=_sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

"""What the decoder's layers add."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Claim, Exhibit, Number, Table, percent
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.verdicts import above
from ffmem.studies.xu2021.findings import IDENTITY, TRAINED, Compared, at, is_there, points, sample, text_in
from ffmem.studies.xu2021.shown import COLUMNS, numbers_of, table_rows


def _reading(findings: Findings) -> str:
    rates = [
        f"{place} {percent(scores[TRAINED].acc1.value)} % ({percent(scores[IDENTITY].acc1.value)} %)"
        for place, scores in ((place, at(findings, place).scores) for place in text_in(findings).decoder)
    ]
    return f"With W trained, and in brackets with W = I, the decoder names: {', '.join(rates)} of the words."


def _numbers(findings: Findings) -> Iterator[Number]:
    yield from numbers_of(findings, text_in(findings).decoder)


def _claims(findings: Findings) -> Iterator[Claim]:
    places = text_in(findings).decoder
    n_layers = len(places) - 1
    if n_layers < 2:
        return
    compared, half = Compared(findings), n_layers // 2
    first, middle, last = (compared.of(places[number]) for number in (0, half, n_layers))
    low, high = (middle - first) / half, (last - middle) / (n_layers - half)
    less = compared.difference(high, low)
    yield Claim(
        "low decoder layers add little: each layer of the lower half adds fewer words than one of the upper half, on average",
        above(less),
        f"acc@1 with W trained, a layer up to {places[half]}: {points(compared.mean(low))}, a layer after it: "
        f"{points(compared.mean(high))}; difference {points(less)}",
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = table_rows(findings, text_in(findings).decoder)
    yield Table("translation-decoder", "What each place of the decoder translates", COLUMNS, rows, side_by_side=True)


def _notes(findings: Findings) -> Iterator[str]:
    if len(text_in(findings).decoder) < 3:
        yield "A decoder of one layer has no lower half, so that nothing is said of it."


CHAPTER = Chapter(
    order=2,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=2,
            name="Decoder",
            title="What does each decoder layer add?",
            question="How many words can be read off the decoder's states, from its embeddings up?",
            definition="""
What is named is the largest of U W n(o) + b, where o is the output of a decoder layer, or the decoder's embeddings, at the row
that is to predict the word; W is I, so that nothing is trained and the last layer's accuracy is the model's own, or is trained
as above, with three seeds.""",
            conclude="""
Where in the decoder a word can first be read, by a head that was made for the last layer. What a layer adds for layers above it
to use, such as where to look in the source, does not show here. The embeddings know nothing but the token before: what they
name is what often follows it.""",
            applies=is_there,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

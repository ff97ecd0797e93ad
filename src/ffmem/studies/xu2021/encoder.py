"""What the encoder's layers translate."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Chart, Claim, Exhibit, Number, Table, percent
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter
from ffmem.studies.verdicts import above, every
from ffmem.studies.xu2021.findings import (
    IDENTITY,
    PLACE,
    SHUFFLED,
    TEXT,
    TRAINED,
    UNIFORM,
    UNIGRAM,
    Compared,
    PlaceResult,
    TextResult,
    at,
    is_there,
    points,
    sample,
    text_in,
)
from ffmem.studies.xu2021.probing import experiments
from ffmem.studies.xu2021.shown import COLUMNS, ORDER, OWN_NAME, UNIGRAM_NAME, lines, numbers_of, table_rows


def _ends(findings: Findings) -> tuple[str, ...]:
    """The embeddings, and the last layer."""
    places = text_in(findings).encoder
    return places[0], places[-1]


def _reading(findings: Findings) -> str:
    first, last = (at(findings, place).scores for place in _ends(findings))
    own = text_in(findings).own.acc1.value
    return (
        f"Through the trained mix of maps and W, source embeddings name {percent(first[TRAINED].acc1.value)} % of the words, "
        f"the last encoder layer {percent(last[TRAINED].acc1.value)} %, the whole model {percent(own)} %; with the source's "
        f"tokens shuffled it is {percent(first[SHUFFLED].acc1.value)} % and {percent(last[SHUFFLED].acc1.value)} %. With W = I "
        f"and one map by norms it is {percent(first[IDENTITY].acc1.value)} % and {percent(last[IDENTITY].acc1.value)} %."
    )


def _numbers(findings: Findings) -> Iterator[Number]:
    yield from numbers_of(findings, _ends(findings))


def _claims(findings: Findings) -> Iterator[Claim]:
    compared, (first, last) = Compared(findings), _ends(findings)
    embeddings = compared.of(first)
    beside = {
        "a uniform map": compared.of(first, UNIFORM),
        "a shuffled source": compared.of(first, SHUFFLED),
        UNIGRAM_NAME: compared.beside(UNIGRAM),
    }
    more = {name: compared.difference(embeddings, other) for name, other in beside.items()}
    yield Claim(
        "source embeddings already translate: the trained mix and W name more words from them than from any control",
        every(*(above(one) for one in more.values())),
        "acc@1 at the embeddings, more than with " + "; ".join(f"{name} {points(one)}" for name, one in more.items()),
    )
    grown = compared.difference(compared.of(last), embeddings)
    rates = ", ".join(
        f"{place} {percent(at(findings, place).scores[TRAINED].acc1.value)} %" for place in text_in(findings).encoder
    )
    yield Claim(
        "translation grows through the encoder: its last layer names more words than the embeddings do",
        above(grown),
        f"acc@1, last layer less embeddings {points(grown)}; {rates}",
    )


def _charts(findings: Findings) -> Iterator[Chart]:
    yield Chart(
        "translation-by-layer",
        "acc@1 over the encoder's places, then the decoder's; controls below.",
        "lines",
        lines(findings),
        "acc@1",
        x_title="place",
        order=ORDER,
    )


def _tables(findings: Findings) -> Iterator[Table]:
    rows = table_rows(findings, text_in(findings).encoder)
    yield Table("translation-encoder", "What each place of the encoder translates", COLUMNS, rows, side_by_side=True)


def _notes(findings: Findings) -> Iterator[str]:
    yield f"The line of {OWN_NAME} is what the last decoder layer gives with W = I."


CHAPTER = Chapter(
    order=1,
    experiments=experiments,
    results={TEXT: TextResult, PLACE: PlaceResult},
    exhibits=(
        Exhibit(
            order=1,
            name="Encoder",
            title="What does the encoder translate?",
            question="Can the next word of the translation be read off the source's states, layer by layer?",
            definition="""
Teacher forcing: the decoder is given the reference translation, and each of its rows is to name the next token. For the
encoder, e_t = sum over source tokens s of A*_ts h_s, where h are the states of one layer (through the encoder's last norm, if
it has one) and A* is a mix of all cross-attention maps with softmax weights; what is named is the largest of U W n(e_t) + b,
with the model's own U, b and norm n, frozen. W (d x d) and the weights of the mix are trained together, for one epoch of
cross-entropy, from the ridge regression onto the decoder's last states and an even mix, with three seeds. Beside it: one map
by norms (of the cross-attention layer with the highest mean norm, each row made to sum to 1), with W trained and with W = I;
and the controls, a uniform map, the source's tokens in random order under the same maps, and the commonest tokens of
training.""",
            conclude="""
Decodable is not used: that a word can be read off a state does not say that the model reads it there. A trained W can translate
by itself, so W = I stands beside it, and the same for a model with nothing learned. A* has read the target's prefix, through
all decoder layers: the encoder's scores owe it which source word comes next.""",
            applies=is_there,
            reading=_reading,
            sample=sample,
            numbers=_numbers,
            claims=_claims,
            charts=_charts,
            tables=_tables,
            notes=_notes,
        ),
    ),
)

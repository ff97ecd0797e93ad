"""What the exhibits of the study share: names of what is read, rows of charts and tables, numbers."""

from collections.abc import Iterator

from ffmem.studies.exhibit import Number, Row
from ffmem.studies.results import Findings, plain
from ffmem.studies.xu2021.findings import (
    IDENTITY,
    NORMS,
    SHUFFLED,
    TRAINED,
    UNIFORM,
    Scores,
    at,
    text_in,
)

OF_ENCODER = {
    TRAINED: "encoder, trained W and mix",
    NORMS: "encoder, trained W, one map by norms",
    IDENTITY: "encoder, W = I, one map by norms",
    UNIFORM: "encoder, trained W, uniform map",
    SHUFFLED: "encoder, trained W and mix, shuffled source",
}
OF_DECODER = {TRAINED: "decoder, trained W", IDENTITY: "decoder, W = I"}
OWN_NAME, UNIGRAM_NAME = "the model itself", "commonest tokens"
ORDER = (*OF_ENCODER.values(), *OF_DECODER.values(), OWN_NAME, UNIGRAM_NAME)
"""Of the lines of the chart."""


def read_at(findings: Findings, place: str) -> dict[str, Scores]:
    """What was read at a place, by its name."""
    names = OF_ENCODER if place in text_in(findings).encoder else OF_DECODER
    return {names[what]: scores for what, scores in at(findings, place).scores.items()}


def lines(findings: Findings) -> list[Row]:
    """acc@1 over the encoder's places, then the decoder's."""
    text = text_in(findings)
    return [
        {"layer": number, "name": place, "series": name} | plain(scores.acc1)
        for number, place in enumerate(text.places)
        for name, scores in (
            *read_at(findings, place).items(),
            (OWN_NAME, text.own),
            (UNIGRAM_NAME, text.unigram),
        )
    ]


def table_rows(findings: Findings, places: tuple[str, ...]) -> list[Row]:
    """A row for all that was read at each place."""
    rows: list[Row] = []
    for place in places:
        by_seed = ", ".join(f"{100 * one:.1f}" for one in at(findings, place).by_seed)
        trained = next(iter(read_at(findings, place)))
        for name, scores in read_at(findings, place).items():
            rows.append(_row(place, name, scores, by_seed if name == trained else ""))
    text = text_in(findings)
    return [*rows, _row("-", OWN_NAME, text.own, ""), _row("-", UNIGRAM_NAME, text.unigram, "")]


def _row(place: str, name: str, scores: Scores, by_seed: str) -> Row:
    acc1 = scores.acc1
    return {
        "place": place,
        "read with": name,
        "acc@1": plain(acc1.value),
        "low": plain(acc1.low),
        "high": plain(acc1.high),
        "acc@5": plain(scores.acc5.value),
        "MRR": plain(scores.mrr.value),
        "acc@1 of each seed, %": by_seed,
        "MRR low": plain(scores.mrr.low),
        "MRR high": plain(scores.mrr.high),
    }


COLUMNS = ("place", "read with", "acc@1", "low", "high", "acc@5", "MRR", "acc@1 of each seed, %")


def numbers_of(findings: Findings, places: tuple[str, ...]) -> Iterator[Number]:
    """acc@1 at some places, of all that was read there; then what stands beside."""
    for place in places:
        for name, scores in read_at(findings, place).items():
            yield Number.of(f"acc@1, {place}: {name}", "-", scores.acc1)
    text = text_in(findings)
    yield Number.of(f"acc@1, {OWN_NAME}", "-", text.own.acc1)
    yield Number.of(f"acc@1, {UNIGRAM_NAME}", "-", text.unigram.acc1)

"""Which maps the mix is made of."""

from collections.abc import Iterator

import numpy as np

from ffmem.studies.exhibit import Chart, Exhibit, Row, Table, percent
from ffmem.studies.results import Findings
from ffmem.studies.study import Chapter, no_experiments
from ffmem.studies.xu2021.findings import at, is_there, sample, text_in


def _means(findings: Findings, place: str) -> np.ndarray:
    """The share of each map, over seeds."""
    means: np.ndarray = np.mean(at(findings, place).shares, axis=0)
    return means


def _reading(findings: Findings) -> str:
    text = text_in(findings)
    shares = _means(findings, text.encoder[-1])
    order = np.argsort(-shares, kind="stable")[:3]
    told = ", ".join(f"{text.maps[number]} {percent(float(shares[number]))} %" for number in order)
    of_layers = ", ".join(f"{layer} {percent(share)} %" for layer, share in _by_layer(text.maps, shares).items())
    return f"For the last encoder layer the largest shares are {told}; by decoder layer: {of_layers}."


def _by_layer(maps: tuple[str, ...], shares: np.ndarray) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, share in zip(maps, shares.tolist(), strict=True):
        layer = name.rpartition(".")[0]
        totals[layer] = totals.get(layer, 0.0) + share
    return totals


def _rows(findings: Findings) -> list[Row]:
    text = text_in(findings)
    return [
        {"panel": "", "row": place, "column": name, "value": share, "label": f"{100 * share:.0f}"}
        for place in text.encoder
        for name, share in zip(text.maps, _means(findings, place).tolist(), strict=True)
    ]


def _charts(findings: Findings) -> Iterator[Chart]:
    yield Chart(
        "translation-maps",
        "Share of each cross-attention head in the mix, in per cent, for each place of the encoder.",
        "heat",
        _rows(findings),
        "",
        x_title="",
    )


def _tables(findings: Findings) -> Iterator[Table]:
    text = text_in(findings)
    rows: list[Row] = [
        {"place": place, "map": name, "share": share} | {f"seed {n}": one[i] for n, one in enumerate(of_seeds)}
        for place in text.encoder
        for of_seeds in (at(findings, place).shares,)
        for i, (name, share) in enumerate(zip(text.maps, _means(findings, place).tolist(), strict=True))
    ]
    yield Table("translation-shares", "Shares of the maps in the mix", tuple(rows[0]), rows, folded=True)


CHAPTER = Chapter(
    order=3,
    experiments=no_experiments,
    results={},
    exhibits=(
        Exhibit(
            order=3,
            name="Addition",
            title="Which maps is the mix made of?",
            question="Which cross-attention heads look at the source word that is to be translated next?",
            definition="""
The softmax weights of A*, one for each cross-attention head, as trained together with W; the mean of the seeds. They add up
to 1.""",
            conclude="""
Which heads a probe relies on, all together. Heads that look alike can take each other's place, so a small share does not say
that a head does not align: for that see `ffmem align`.""",
            applies=is_there,
            reading=_reading,
            sample=sample,
            charts=_charts,
            tables=_tables,
        ),
    ),
)

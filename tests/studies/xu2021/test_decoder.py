"""The claim of the decoder's layers, on studies that are made up."""

import pytest

from ffmem.studies.verdicts import Verdict, judged
from ffmem.studies.xu2021.decoder import CHAPTER
from tests.studies.xu2021.conftest import Made
from tests.studies.xu2021.shares import shares

(EXHIBIT,) = CHAPTER.exhibits


@pytest.mark.parametrize(
    ("decoder", "expected"),
    [
        ((0.2, 0.22, 0.4, 0.7), "shown"),
        ((0.2, 0.3, 0.42, 0.52, 0.61), "undecided"),
        ((0.2, 0.5, 0.6, 0.62, 0.63), "contradicted"),
    ],
)
def test_low_layers_are_held_against_high_ones(made: Made, decoder: tuple[float, ...], expected: Verdict) -> None:
    (claim,) = judged([tuple(EXHIBIT.claims(made(shares((0.5, 0.6), decoder))))])[0]
    assert claim.verdict == expected


def test_a_single_layer_has_no_half(made: Made) -> None:
    findings = made(shares((0.5, 0.6), (0.2, 0.7)))
    assert not list(EXHIBIT.claims(findings)) and "no lower half" in "".join(EXHIBIT.notes(findings))
    assert "dec.embeddings 20.0 % (10.0 %), dec.L0 70.0 % (35.0 %)" in EXHIBIT.reading(findings)
    (table,) = EXHIBIT.tables(findings)
    assert table.rows[0]["acc@1 of each seed, %"] == "41.0, 42.0, 43.0" and len(table.rows) == 6

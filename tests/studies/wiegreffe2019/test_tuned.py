"""What the page says of tuned models, against the numbers of sentences beside it; and the model is what it was."""

import pytest

from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.tuned import EXPERIMENT, PRICES, TunedResult


def test_the_numbers_of_the_page_are_those_of_the_sentences(diagnosed: Results) -> None:
    findings = findings_of(diagnosed)
    found, arrays = findings.get(EXPERIMENT, TunedResult), diagnosed.load_arrays(EXPERIMENT)
    assert [one.price for one in found.prices] == list(PRICES) and found.n_learned == 12
    for number, one in enumerate(found.prices):
        assert one.distance.value == pytest.approx(arrays[f"{number}.distance"].mean()) and 0 < one.distance.value < 1
        assert one.jsd.value == pytest.approx(arrays[f"{number}.jsd"].mean()) and one.jsd.value > 0
    assert set(found.guided) == {"topic", "genre"} and found.guided["topic"].value > found.guided["genre"].value
    assert load_indexed_model(findings.index).weights_hash() == findings.header["index"]["model"]["weights_sha256"]

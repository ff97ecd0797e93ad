"""What the page says of guided classifiers: words tell the topic, and nothing tells the genre."""

from dataclasses import replace

import pytest

from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.wiegreffe2019.guide import CHAPTER, EXPERIMENT, NAMES, GuideResult


def test_what_words_tell_is_learned_and_what_they_do_not_is_not(diagnosed: Results) -> None:
    found, arrays = findings_of(diagnosed).get(EXPERIMENT, GuideResult), diagnosed.load_arrays(EXPERIMENT)
    by_name = {one.name: one for one in found.fields}
    assert set(by_name) == {"topic", "genre"} and found.n_learned == 60 and found.n_test == len(arrays["document"])
    for name, field in by_name.items():
        assert [one.guide for one in field.guided] == list(NAMES) and field.n_labels == 2
        assert [one.accuracy.value for one in field.guided] == pytest.approx(arrays[name].mean(1).tolist())
        assert [sum(one.by_seed) / 3 for one in field.guided] == pytest.approx(arrays[name].mean(1).tolist())
    accuracy = {name: field.guided[0].accuracy.value for name, field in by_name.items()}
    assert accuracy["topic"] > 0.8 and accuracy["topic"] > accuracy["genre"] + 0.1


def test_of_few_documents_a_label_nothing_is_claimed(diagnosed: Results) -> None:
    findings, (exhibit,) = findings_of(diagnosed), CHAPTER.exhibits
    found = findings.get(EXPERIMENT, GuideResult)
    fewer = replace(found, n_learned=9)
    scarce = replace(findings, values={**findings.values, EXPERIMENT: fewer})
    assert len(list(exhibit.claims(findings))) == 6 and not list(exhibit.claims(scarce))
    assert [note for note in exhibit.notes(findings) if "Nothing is claimed" in note] == []
    assert [note.partition(":")[0] for note in exhibit.notes(scarce)][-2:] == [
        f"Nothing is claimed of {one.name}" for one in found.fields
    ]

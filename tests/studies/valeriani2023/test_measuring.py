"""What is kept, against arrays and against the same measured by hand."""

import numpy as np
import pytest

from ffmem.analyses.geometry.clouds import without_largest
from ffmem.analyses.geometry.dimension import gride
from ffmem.analyses.geometry.neighbours import label_share, neighbours_of, overlap
from ffmem.analyses.geometry.sentences import sentences_of
from ffmem.analyses.geometry.states import points_of
from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.results import Results
from ffmem.studies.runner import findings_of
from ffmem.studies.valeriani2023.findings import REDUCED, TEXT, WORDS, geometry


def test_clouds_are_those_of_the_sentences(measured: Results) -> None:
    findings = findings_of(measured)
    index, found = findings.index, geometry(findings)
    sentences = sentences_of(index.text, 60)
    points = points_of(load_indexed_model(index), sentences.tokens, index.manifest.options.bos)
    assert sentences.label is not None
    every = np.ones(60, dtype=bool)
    for kind in ("o", "m"):
        near = [neighbours_of(one) for one in points[kind]]  # type: ignore[index]
        for place, cloud in enumerate(found.clouds[kind]):
            within = near[place].among(near[place].distinct)
            expected = gride(within.log_ratio(found.order, 2 * found.order), found.order)
            assert cloud.dimension.value == pytest.approx(expected, rel=1e-3)
            share = label_share(near[place].among(every), sentences.label, sentences.document, found.k)
            assert cloud.labelled.value == pytest.approx(np.nanmean(share), abs=0.01)
        shared = overlap(near[0].among(every), near[1].among(every), found.k)
        assert found.clouds[kind][0].near.value == pytest.approx(shared, abs=0.01)
        assert np.isnan(found.clouds[kind][-1].near.value)
    near = [neighbours_of(without_largest(points["o"][0]))]
    expected = gride(near[0].among(near[0].distinct).log_ratio(1, 2), 1)
    assert found.clouds[REDUCED][0].gride[0] == pytest.approx(expected, rel=1e-3)


def test_chance_is_that_of_pairs_of_other_documents(measured: Results) -> None:
    findings = findings_of(measured)
    sentences = sentences_of(findings.index.text, 60)
    assert sentences.label is not None
    label, document = sentences.label, sentences.document
    shares = [np.mean(label[document != document[i]] == label[i]) for i in range(60)]
    assert geometry(findings).chance == pytest.approx(np.mean(shares))


def test_words_tell_topics_without_a_model_where_topics_give_words(measured: Results) -> None:
    found = geometry(findings_of(measured))
    assert found.blind.value > found.chance + 0.1 and found.n_labels == 3


def test_shuffled_words_are_told_at_the_same_scale_and_other_points(measured: Results) -> None:
    findings = findings_of(measured)
    text, words = geometry(findings), geometry(findings, WORDS)
    assert words.order == text.order and set(words.clouds) == {"o", "o, last token"}
    assert words.clouds["o"][-1].dimension.value != text.clouds["o"][-1].dimension.value


def test_stacks_have_profiles_of_their_own(two_stacks: Results) -> None:
    found = geometry(findings_of(two_stacks))
    stacks = found.stacks()
    assert set(stacks) == {"enc", "dec"}
    last = stacks["enc"][-1]
    assert np.isnan(found.clouds["o"][last].near.value) and not np.isnan(found.clouds["o"][last - 1].near.value)
    arrays = two_stacks.load_arrays(TEXT)
    assert np.isnan(arrays["o labelled"]).all() and found.n_labels == 0

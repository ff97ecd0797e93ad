"""Contexts of other texts: what they are made of, and what is told of coefficients whose dependence is known."""

import numpy as np
import pytest

from ffmem.analyses.meaning.transplant import LONGEST, N_DONORS, SHORTEST, make_transplants, what_is_kept
from tests.analyses.meaning.made import Made, make_text


@pytest.fixture(scope="module")
def made() -> Made:
    return make_text(n_documents=40)


def test_beginnings_are_those_of_other_documents(made: Made) -> None:
    sample = made.sample
    assert sample.label_of is not None
    found = make_transplants(sample, 50)
    assert len(found.position) == 50 and found.same.all() and len(found.sequences) == 4 * 50
    starts: dict[tuple[int, ...], set[int]] = {}
    for sentence, one in enumerate(sample.sentences):
        for n in range(len(one) + 1):
            starts.setdefault(tuple(one[:n].tolist()), set()).add(int(sample.document_of[sentence]))
    for number, position in enumerate(found.position.tolist()):
        place, document = int(sample.place[position]), int(sample.document[position])
        assert SHORTEST <= place <= LONGEST
        own = sample.sentences[sample.sentence[position]][: place + 1].tolist()
        for donor in range(2 * N_DONORS):
            first = 0 if donor < N_DONORS else found.n_other
            sequence = found.sequences[first + number * N_DONORS + donor % N_DONORS].tolist()
            assert len(sequence) == len(own) and sequence[-2:] == own[-2:]
            labels = {int(sample.label_of[d]) for d in starts[tuple(sequence[:-2])] - {document}}
            alike = int(sample.label_of[document]) in labels
            assert labels and alike == (donor >= N_DONORS)


def test_what_is_kept_of_known_coefficients() -> None:
    rng = np.random.default_rng(0)
    n = 200
    own = 1 + rng.random((n, 4))
    same, other = np.repeat(own[:, None], 2, axis=1), np.repeat(own[:, None], 2, axis=1)
    other[:, :, 1] = 0  # all of it is the topic's
    same[:, :, 2], other[:, :, 2] = same[:, :, 2] / 2, other[:, :, 2] / 4
    own[4:, 3] = 0  # active at four positions: too few to tell
    same[:50] = np.nan  # no other document of the topic
    kept, gain, chance = what_is_kept(own, other, same).ratios(lambda values: np.ones((1, n)) @ values)
    assert kept[0, :3] == pytest.approx([1, 0, 0.25]) and gain[0, :3] == pytest.approx([0, 1, 0.25])
    assert chance[0, :3] == pytest.approx([0, 0, 0]) and np.isnan([kept[0, 3], gain[0, 3]]).all()


def test_the_strongest_positions_count_alone() -> None:
    own = np.arange(200.0)[:, None]
    other = np.where(own >= 194, own, 0)[:, :, None].repeat(2, axis=1)
    kept, _, _ = what_is_kept(own, other, np.full_like(other, np.nan)).ratios(
        lambda values: values.sum(0, keepdims=True)
    )
    assert kept[0, 0] == pytest.approx(1)  # 3 of 100


def test_a_text_without_labels_has_no_same_topic(made: Made) -> None:
    from dataclasses import replace

    found = make_transplants(replace(made.sample, label_of=None), 20)
    assert not found.same.any() and len(found.sequences) == 40
    other, same = found.by_position(np.arange(80.0).reshape(40, 2))
    assert other[1, 0].tolist() == [4, 5] and np.isnan(same).all()

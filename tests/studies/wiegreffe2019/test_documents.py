"""Documents and their labels, against the index's own reading of them."""

import numpy as np

from ffmem import Index
from ffmem.studies.wiegreffe2019.documents import documents_of, first_tokens, labels_of


def test_labels_and_tokens_are_the_documents_own(labelled_index: Index) -> None:
    text = labelled_index.text
    labels = labels_of(text)
    assert set(labels) == {"topic", "genre"}
    assert labels["topic"].tolist() == [int(one[1:]) for one in text.metadata_field("topic")]
    tokens, numbers, test = first_tokens(text, 8)
    for row in (0, len(tokens) // 2, len(tokens) - 1):
        sentences = np.flatnonzero(text.document_of(np.arange(text.n_all_sentences)) == numbers[row])
        own = np.concatenate([text.sentence(int(one)).token_ids for one in sentences])
        assert tokens[row].tolist() == own[:8].tolist()
        assert bool(test[row]) == text.document(int(numbers[row])).held_out


def test_some_are_drawn_and_short_ones_are_counted(labelled_index: Index) -> None:
    found = documents_of(labelled_index.text, 8, 20, 0)
    assert (~found.test).sum() == 20 and found.test.sum() == 10 and found.enough and found.n_short == 0
    long = documents_of(labelled_index.text, 10_000, 20, 0)
    assert len(long.tokens) == 0 and not long.enough and long.n_short == 120
    labelled = found.labelled(labels_of(labelled_index.text)["topic"])
    assert labelled.labels.tolist() == [number % 2 for number in found.numbers.tolist()]

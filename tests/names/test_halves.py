from pathlib import Path

import numpy as np

from ffmem.names.halves import FEWEST_DOCUMENTS, halves, quarters
from tests.fixtures.made_index import Document, Layer, make_index


def test_each_label_is_halved_and_held_out_documents_are_in_neither(tmp_path: Path) -> None:
    labels = ["a"] * 7 + ["b"] * 4 + ["c"] * 1
    documents = [Document([["x", "y"], ["z"]], f"d{i}", {"topic": label}) for i, label in enumerate(labels)]
    documents.append(Document([["x"]], "out", {"topic": "a"}, held_out=True))
    n_tokens = 3 * len(labels)
    index = make_index(tmp_path / "index", documents, [Layer(np.ones((n_tokens + 1, 1)))])
    found = halves(index)
    assert found.of_document[-1] == -1
    for label in "abc":
        of_label = [int(found.of_document[i]) for i, one in enumerate(labels) if one == label]
        assert abs(of_label.count(0) - of_label.count(1)) <= 1 and of_label.count(-1) == 0
    with_few = make_index(tmp_path / "few", documents[:11], [Layer(np.ones((33, 1)))])
    assert halves(with_few).of_document.tolist() == [0] * 11
    assert abs(len(found.documents("naming")) - len(found.documents("judging"))) <= 1
    # tokens 3 i to 3 i + 2 are those of document i
    expected = [int(found.of_document[token // 3]) for token in range(n_tokens)]
    assert found.of_tokens(np.arange(n_tokens)).tolist() == expected
    assert found.is_in("judging", np.arange(n_tokens)).tolist() == [one == 1 for one in expected]


def test_the_seed_decides(tmp_path: Path) -> None:
    documents = [Document([["x"]], f"d{i}") for i in range(40)]
    index = make_index(tmp_path / "index", documents, [Layer(np.ones((40, 1)))])
    same = [halves(index, 3).of_document.tolist() for _ in range(2)]
    assert same[0] == same[1] != halves(index, 4).of_document.tolist()


def test_documents_of_each_label_are_in_every_quarter_alike() -> None:
    label_of = np.repeat(np.arange(5), 16)
    found = quarters(label_of, seed=1)
    counts = np.array([np.bincount(found[label_of == label], minlength=4) for label in range(5)])
    assert (counts == 4).all()
    assert (quarters(label_of, seed=2) != found).any()


def test_few_documents_are_not_split() -> None:
    assert not quarters(np.zeros(FEWEST_DOCUMENTS - 1, dtype=np.int64), seed=0).any()

"""Which tokens share documents, in texts where that is known."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch

from ffmem import Index, load_model
from ffmem.analyses.updates import concepts
from ffmem.analyses.updates.concepts import SharedDocuments, permuted, shared_documents, top_tokens
from ffmem.analyses.updates.readout import Readout


def text_of(documents: list[list[int]]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens, and the document of each."""
    return np.concatenate(documents), np.repeat(np.arange(len(documents)) * 3, [len(one) for one in documents])


def test_pairs_above_chance() -> None:
    """Tokens 1 and 2 always come together, 3 never with them; 4 is in every document, 5 in too few."""
    documents = [[1, 2, 4, 1], [3, 4]] * 6 + [[5, 4, 3]]
    shared = SharedDocuments.of(*text_of(documents), 8)
    assert shared.n_documents == 13 and np.flatnonzero(shared.row_of >= 0).tolist() == [1, 2, 3]
    above, n = shared.coherence(np.array([[1, 2, 3], [1, 2, 5], [4, 5, 6], [1, 1, 2]]))
    assert (above.tolist(), n.tolist()) == ([1, 1, 0, 1], [3, 1, 0, 1])


def test_coherence_equals_a_loop(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    shared = shared_documents(index)
    documents: dict[int, set[int]] = {}
    for number in range(index.text.n_sentences):
        sentence = index.text.sentence(number)
        for token in sentence.token_ids.tolist():
            documents.setdefault(token, set()).add(sentence.document_id)
    n = len({index.text.sentence(number).document_id for number in range(index.text.n_sentences)})
    assert shared.n_documents == n
    lists = np.random.default_rng(0).permuted(np.tile(np.arange(index.manifest.model.d_vocab), (5, 1)), axis=1)[:, :40]
    above, pairs = shared.coherence(lists)
    for row, tokens in enumerate(lists.tolist()):
        known = [one for one in tokens if 5 <= len(documents.get(one, ())) < n]
        both = [(documents[a], documents[b]) for a, b in combinations(known, 2)]
        assert pairs[row] == len(both)
        assert above[row] == sum(len(a & b) > len(a) * len(b) / n + 1e-9 for a, b in both)


def test_alike_tokens_are_as_frequent_and_others() -> None:
    rng = np.random.default_rng(1)
    documents = [[token for token in range(200) if rng.random() < 0.1 + token / 300] for _ in range(120)]
    shared = SharedDocuments.of(*text_of(documents), 210)
    tokens = np.arange(100, 160).reshape(2, 30)
    drawn = shared.alike(tokens, np.random.default_rng(0))
    counts = shared.has.sum(1)
    before, after = (counts[shared.row_of[one]] for one in (tokens, drawn))
    assert np.abs(before - after).max() <= 8 and (drawn != tokens).all()
    unknown = np.array([[205, 206]])
    assert shared.alike(unknown, np.random.default_rng(0)).tolist() == unknown.tolist()


def test_a_long_text_gives_some_of_its_documents(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concepts, "MOST_DOCUMENTS", 12)
    one, other = (shared_documents(index_of("gpt2"), seed=seed) for seed in (0, 1))
    assert one.n_documents == other.n_documents == 12 and not np.array_equal(one.has, other.has)


@pytest.mark.parametrize("variant", ["llama", "wikilm"])
def test_top_tokens_are_those_of_the_scores(
    variant: str, tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(concepts, "_SCORES_HELD", 3000)  # several blocks
    model = load_model(tiny_folder(variant))
    rows = model.value_rows(0)
    with torch.inference_mode():
        scores = Readout(model).matrix.double().numpy() @ rows.double().numpy().T
    found = top_tokens(Readout(model), rows, 7)
    assert found.tolist() == np.argsort(-scores, axis=0, kind="stable")[:7].T.tolist()
    turned = permuted(rows, seed=5)
    assert torch.equal(turned.sort(1).values, rows.sort(1).values) and not torch.equal(turned, rows)

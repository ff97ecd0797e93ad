"""Clusters of earlier words against a plain loop, what they may not see, and cluster patterns from end to end."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from ffmem.analyses.meaning.words import WordVectors
from ffmem.analyses.patterns.measure import measure_patterns
from ffmem.analyses.patterns.scoring import score_patterns
from ffmem.analyses.patterns.semantic import clusters, k_means
from ffmem.analyses.patterns.tokens import Tokens


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


@pytest.fixture(scope="module")
def of_subjects(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    """Sixty documents, each of words of one of three subjects, without labels."""
    folder = tmp_path_factory.mktemp("subjects")
    rng = np.random.default_rng(0)
    subjects = [[f"{name}{number}" for number in range(12)] for name in ("sea", "law", "tea")]
    common = ["the", "of", "and", "to", "in"]
    for number in range(60):
        rows = [
            " ".join(str(rng.choice(common if i % 2 else subjects[number % 3])) for i in range(16)) for _ in range(6)
        ]
        (folder / f"{number:02}.txt").write_text("\n".join(rows))
    options = IndexOptions(top=25, split="lines", holdout=0.1)
    corpus = str(folder / "*.txt")
    return ffmem.build_index(tiny_folder("gpt2"), corpus, folder / "index", options=options, run=RunOptions(workers=0))


def test_clusters_are_of_the_words_before_the_last_three(of_subjects: Index) -> None:
    index, tokens = of_subjects, Tokens.of(of_subjects)
    found = clusters(index, tokens, 3)
    assert found is not None and found.kind == "cluster" and len(found.names) > 2
    n, start = tokens.n_sentences, tokens.start
    ids, document = tokens.token_id[: start[n]].astype(np.int64), index.text.document_of(np.arange(n))
    words = WordVectors.of(ids, np.repeat(document, np.diff(start[: n + 1])), index.manifest.model.d_vocab).vectors
    # nothing that stands at a trigger or after it counts: prefixes with the same earlier words have the same cluster
    by_earlier: dict[bytes, set[int]] = {}
    for sentence in range(index.text.n_all_sentences):
        own = tokens.token_id[start[sentence] : start[sentence + 1]]
        numbers = found.of(tokens, np.arange(start[sentence], start[sentence + 1]))
        for position, number in enumerate(numbers.tolist()):
            total = words[own[: max(position - 2, 0)].astype(np.int64)].sum(0)
            assert (number < 0) == (np.linalg.norm(total) < 1e-6)
            by_earlier.setdefault((total / max(np.linalg.norm(total), 1e-6)).round(4).tobytes(), set()).add(number)
    assert len(by_earlier) > 30 and all(len(numbers) == 1 for numbers in by_earlier.values())
    every = found.of(tokens, np.concatenate(list(tokens.blocks())))
    assert found.frequency == pytest.approx(np.bincount(every[every >= 0], minlength=len(found.names)) / len(every))


def test_clusters_hold_one_subject(of_subjects: Index) -> None:
    index, tokens = of_subjects, Tokens.of(of_subjects)
    found = clusters(index, tokens, 3)
    assert found is not None
    ends = np.concatenate(list(tokens.blocks()))
    ends = ends[tokens.position_of(ends) > 12]  # enough has been said
    documents = index.text.document_of(tokens.sentence_of(ends)).tolist()
    subject = np.array([int(Path(index.text.document(one).name).stem) % 3 for one in documents])
    number = found.of(tokens, ends)
    pure = [np.bincount(subject[number == one]).max() / (number == one).sum() for one in np.unique(number)]
    assert np.mean(pure) > 0.95


def test_patterns_of_clusters(of_subjects: Index, tiny_folder: Callable[[str], Path]) -> None:
    found = measure_patterns(of_subjects)
    meaning = found.meaning
    assert meaning is not None and meaning.kind == "cluster" and [one.kind for one in found.controls][-1] == "cluster"
    assert found.controls[-1].given_words
    assert {one.kind: one for one in found.chance}["cluster"].after.value < 0.05
    tokens = Tokens.of(of_subjects)
    for place in range(of_subjects.n_layers):
        for one in found.accepted(of_subjects, place):
            if one.kind == "cluster":
                triggers = [t for t in of_subjects.cell(one.cell).triggers if t.sign == one.sign]
                ends = np.array([tokens.start[triggers[i].sentence_id] + triggers[i].position for i in one.triggers])
                assert {one.text} == {f"cluster {meaning.names[number]}" for number in meaning.of(tokens, ends)}
    scores = score_patterns(of_subjects, ffmem.load_model(tiny_folder("gpt2")), found, n_prefixes=50)
    assert len(scores.layers[0]) == len(found.controls)


def test_a_text_of_one_document_has_no_clusters(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    """Without documents nothing says which words go together."""
    (tmp_path / "one.txt").write_text("the sea of the law\n" * 20)
    options = IndexOptions(top=5, split="lines", duplicates="keep", holdout=0.0)
    model = tiny_folder("gpt2")
    index = ffmem.build_index(model, tmp_path / "one.txt", tmp_path / "i", options=options, run=RunOptions(workers=0))
    found = measure_patterns(index)
    assert found.meaning is None and all(one.kind != "cluster" for one in found.controls)

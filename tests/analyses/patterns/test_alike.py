"""How alike triggers are, from an index: by plain loops, and with and without labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import ffmem
from ffmem import Index, IndexOptions, RunOptions
from ffmem.analyses.patterns import alike
from ffmem.analyses.patterns.alike import measure_likeness
from ffmem.analyses.patterns.semantic import topics
from ffmem.analyses.patterns.tokens import Tokens


@pytest.fixture(scope="module")
def topics_index(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Index:
    options = IndexOptions(top=40, max_tokens=20_000, promoted=5)
    out = tmp_path_factory.mktemp("alike") / "index"
    return ffmem.build_index(tiny_folder("wikilm"), "topics", out, options=options, run=RunOptions(workers=0))


def test_coherence_is_that_of_the_pairs(topics_index: Index) -> None:
    tokens = Tokens.of(topics_index)
    found = measure_likeness(topics_index, tokens, topics(topics_index, tokens, 3))
    assert found.by == "topic" and [one.layer for one in found.layers] == ["L0", "L1", "L2"]
    text, labels = topics_index.text, topics_index.text.document_labels()
    assert labels is not None
    for place, layer in enumerate(found.layers):
        alike, pairs = 0, 0
        for row in range(topics_index.cells.layers[place].n_cells):
            chosen: list[int] = []
            seen: set[tuple[int, ...]] = set()
            for one in topics_index.cell(topics_index.cells.cell_id(place, row)).triggers:
                sentence = text.sentence(one.sentence_id)
                prefix = tuple(sentence.token_ids[: one.position + 1].tolist())
                if prefix not in seen and sentence.document_id not in chosen and len(chosen) < 25:
                    chosen.append(sentence.document_id)
                seen.add(prefix)
            for i, a in enumerate(chosen):
                alike += sum(labels.of_document[a] == labels.of_document[b] for b in chosen[:i])
                pairs += i
        # a trigger whose word no other document has is left out: there are few in so small a vocabulary
        assert layer.coherence.value == pytest.approx(alike / pairs, rel=0.03)
        assert layer.lift.low < 1.1 and layer.lift.high > 0.9  # a random model selects no topics
        assert layer.n_units <= topics_index.cells.layers[place].n_cells and layer.smallest_lift > 1


def test_without_labels_earlier_words_are_compared(index_of: Callable[[str], Index]) -> None:
    index = index_of("llama")
    found = measure_likeness(index, Tokens.of(index), None)
    assert found.by == "earlier words" and len(found.layers) == index.n_layers
    assert all(abs(one.coherence.value) < 1 and one.n_units > 0 for one in found.layers)
    again = measure_likeness(index, Tokens.of(index), None)
    assert [one.lift for one in again.layers] == [one.lift for one in found.layers]


def test_a_large_text_is_drawn_from(topics_index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    tokens = Tokens.of(topics_index)
    meaning = topics(topics_index, tokens, 3)
    whole = measure_likeness(topics_index, tokens, meaning)
    monkeypatch.setattr(alike, "MOST_POSITIONS", tokens.n_prefixes // 2)
    some = measure_likeness(topics_index, tokens, meaning)
    for one, other in zip(whole.layers, some.layers, strict=True):
        assert other.lift.value == pytest.approx(one.lift.value, rel=0.15)
        assert np.isfinite(other.lift_two_words.value)

"""What is given back, against decoding word by word."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem.analyses.memorised.extraction import draw_sequences, eidetic, n_given_back
from ffmem.analyses.memorised.texts import ReadText
from ffmem.models.transformer import Transformer
from tests.fixtures.planted_memory import RUN, ids_of


def test_a_run_known_by_heart_is_given_back_and_another_up_to_its_first_error(planted_memory: Transformer) -> None:
    runs = [ids_of(RUN), ids_of("one two three door five six"), ids_of("two one two three four five")]
    assert n_given_back(planted_memory, runs, 1).tolist() == [5, 2, 0]
    assert n_given_back(planted_memory, runs, 2).tolist() == [4, 1, 4]


@pytest.mark.parametrize("family", ["gpt2", "llama", "wikilm"])
def test_one_pass_is_what_greedy_decoding_gives(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    before, _ = model.special_tokens("auto")
    rng = np.random.default_rng(0)
    runs = []
    for right in (0, 1, 3, 6):  # its own continuation, with an error after so many tokens
        row = [*before, *rng.integers(2, model.facts.d_vocab, 3).tolist()]
        for _ in range(6):
            with torch.no_grad():
                row.append(int(model.module(torch.tensor([row])).logits[0, -1].argmax()))
        own = row[len(before) :]
        if right < 6:
            own[3 + right] = (own[3 + right] + 1) % model.facts.d_vocab
        runs.append(np.array(own, dtype=np.int64))
    assert n_given_back(model, runs, 3).tolist() == [0, 1, 3, 6]


def test_runs_lie_in_their_texts_and_have_no_unknown_word() -> None:
    rng = np.random.default_rng(0)
    texts = [ReadText("", "", rng.integers(0, 9, n).astype(np.int64), ()) for n in (30, 4, 17, 5, 80)]
    found = draw_sequences(texts, 5, 20, unknown=0, per_text=3, seed=1)
    assert 0 < len(found.tokens) <= 20 and 1 not in found.text and (found.tokens != 0).all()
    for tokens, text, start in zip(found.tokens, found.text, found.start, strict=True):
        assert tokens.tolist() == texts[text].ids[start : start + 5].tolist()
    places = list(zip(found.text.tolist(), found.start.tolist(), strict=True))
    assert len(set(places)) == len(places) and max(np.bincount(found.text)) <= 3
    assert draw_sequences(texts, 100, 5).tokens.shape == (0, 100)


def test_k_eidetic_counts_what_few_documents_have() -> None:
    extracted, copies = np.array([True, True, False, True, True]), np.array([1, 3, 1, 0, 10])
    assert [eidetic(extracted, copies, most) for most in (1, 3, 10)] == [1, 2, 3]

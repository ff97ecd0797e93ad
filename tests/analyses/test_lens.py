"""What each layer would predict."""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.activation import activate
from ffmem.analyses.lens import lens, writers
from ffmem.analyses.lenses.jacobian import average_jacobian
from ffmem.models.tracing import trace
from ffmem.models.vocabulary import display, token_bytes

TEXT = "the old river of the village"


@pytest.mark.parametrize("family", ["gpt2", "llama", "gemma2", "gpt_neox", "wikilm", "opt_post_ln", "mixtral"])
def test_the_last_layer_is_the_models_own_prediction(tiny_folder: Callable[[str], Path], family: str) -> None:
    model = ffmem.load_model(str(tiny_folder(family)))
    found = lens(model, TEXT, target="s")
    before, _ = model.special_tokens("auto")
    ids = model.tokenizer(TEXT, add_special_tokens=False).input_ids
    logits = model.logits(torch.tensor([[*before, *ids]]))
    assert logits is not None
    expected = logits[0, len(before) :].float().softmax(-1)
    vocabulary = token_bytes(model.tokenizer)
    wanted = model.tokenizer("s", add_special_tokens=False).input_ids[0]
    for box, p in zip(found.boxes[-1], expected, strict=True):
        assert box.token == display(vocabulary[int(p.argmax())])
        assert box.probability == pytest.approx(float(p.max()), rel=1e-4)
        assert box.target_probability == pytest.approx(float(p[wanted]), rel=1e-3)
        assert box.target_rank == int((p > p[wanted]).sum())
    assert len(found.boxes) == model.facts.n_layers and all(len(row) == len(ids) for row in found.boxes)
    assert len(found.tokens) == len(ids)


def test_states_are_read_through_a_jacobian(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    ids = model.tokenizer(TEXT, add_special_tokens=False).input_ids
    plain, jacobian = lens(model, TEXT), average_jacobian(model, [np.array(ids)], bos="no", reach="later")
    found = lens(model, TEXT, jacobian=jacobian)
    assert found.boxes[-1] == plain.boxes[-1] and found.boxes[0] != plain.boxes[0]
    assert found.projection == f"Jacobian, {plain.projection}"
    eye = torch.eye(model.facts.d_model).expand(model.facts.n_layers, -1, -1)
    assert lens(model, TEXT, jacobian=replace(jacobian, matrices=eye)).boxes == plain.boxes
    with torch.no_grad():
        states = trace(model, torch.tensor([ids]))
        moved = states[0].layer_output[0] @ jacobian.matrices[0].T
        expected = model.project(moved, "final-norm").softmax(-1)
    assert [box.probability for box in found.boxes[0]] == pytest.approx(expected.amax(-1).tolist(), rel=1e-4)
    with pytest.raises(InputError, match="Jacobian is of 1 of the"):
        lens(model, TEXT, jacobian=average_jacobian(model, [np.array(ids)], bos="no", places=[0]))


def test_positions_are_read_in_pieces(tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    whole = lens(model, TEXT, target="s")
    monkeypatch.setattr("ffmem.analyses.lens._POSITIONS", 2)
    pieces = lens(model, TEXT, target="s")
    assert (pieces.text, pieces.tokens) == (whole.text, whole.tokens)
    # the shape of a product decides its last bits on some processors
    for one, other in zip(chain.from_iterable(pieces.boxes), chain.from_iterable(whole.boxes), strict=True):
        assert (one.token, one.target_rank) == (other.token, other.target_rank)
        assert one.probability == pytest.approx(other.probability, rel=1e-5)
        assert one.target_probability == pytest.approx(other.target_probability, rel=1e-5)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert", "t5", "mixtral"])
def test_the_writers_are_the_strongest_cells_of_the_layer(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], family: str
) -> None:
    model, index = ffmem.load_model(str(tiny_folder(family))), index_of(family)
    place = index.n_layers - 1
    expected = activate(model, TEXT, index=index, layer=index.cells.layers[place].name, limit=4).tokens[2].cells
    found = writers(model, TEXT, place, 2, index=index, limit=4)
    assert [one.cell for one in found] == [one.cell for one in expected]
    assert [one.coefficient for one in found] == pytest.approx([one.coefficient for one in expected], rel=1e-5)


def test_what_cannot_be_asked(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    with pytest.raises(InputError, match="no token 99"):
        writers(model, TEXT, 0, 99)
    with pytest.raises(InputError, match="has no token"):
        lens(model, "")
    with pytest.raises(InputError, match="Expected at most"):
        lens(model, TEXT * 50)
    with pytest.raises(InputError, match="not a causal language model"):
        lens(ffmem.load_model(str(tiny_folder("bert"))), TEXT)


def test_the_hash_of_the_weights_is_computed_once(
    tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    first = model.weights_hash()
    monkeypatch.setattr("ffmem.models.fingerprints.hashlib.sha256", None)
    assert model.weights_hash() == first

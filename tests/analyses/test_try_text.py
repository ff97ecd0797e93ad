"""One cell asked of a text, against a plain hook on the model."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.try_text import try_text
from ffmem.models.transformer import Transformer

TEXT = "the old river, naïve 日本 and 😀 the silver mill"


def plain(model: Transformer, path: str, ids: list[int], row: int) -> list[float]:
    """What goes into the last matrix of the second layer, caught by a hook of torch."""
    seen: list[torch.Tensor] = []
    module = model.module.get_submodule(path)
    hook = module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].reshape(-1, inputs[0].shape[-1])))
    with torch.inference_mode():
        model.module(input_ids=torch.tensor([ids]))
    hook.remove()
    return seen[0][:, row].tolist()


@pytest.mark.parametrize(
    ("family", "path"),
    [
        ("gpt2", "transformer.h.1.mlp.c_proj"),
        ("llama", "model.layers.1.mlp.down_proj"),
        ("bert", "bert.encoder.layer.1.output.dense"),
    ],
)
def test_every_token_has_what_a_plain_hook_sees(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], family: str, path: str
) -> None:
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    ids = model.tokenizer(TEXT)["input_ids"]
    own = model.tokenizer(TEXT, add_special_tokens=False)["input_ids"]
    for row in (3, 17):
        tried = try_text(model, index, index.cell_id(f"L1.{row}"), TEXT)
        expected = plain(model, path, ids, row)
        np.testing.assert_allclose([one.coefficient for one in tried.tokens], expected, rtol=1e-4, atol=1e-6)
        numbers = [one.number for one in tried.tokens if one.number is not None]
        assert numbers == list(range(len(own))) and len(tried.tokens) == len(ids)
        assert "".join(piece.text for piece in tried.pieces()) == TEXT
        of_text = [one for one in tried.tokens if one.number is not None]
        assert tried.n_active == sum(one.coefficient > 0 for one in of_text)
        largest = max(one.coefficient for one in of_text)
        assert (tried.largest is None) == (largest <= 0)
        if tried.largest:
            assert tried.largest.coefficient == largest == of_text[tried.largest.number].coefficient
        assert (tried.lowest is not None) == (family == "llama" and min(one.coefficient for one in of_text) < 0)


def test_its_strongest_trigger_is_first_among_its_triggers(
    sampled_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    index, model = sampled_of("llama"), ffmem.load_model(str(tiny_folder("llama")))
    cell = index.cell("L1.5")
    for sign, name in ((1, "largest"), (-1, "lowest")):
        first = next(one for one in cell.triggers if one.sign == sign)
        peak = getattr(try_text(model, index, cell.cell, first.text), name)
        assert peak.number == first.position and peak.coefficient == pytest.approx(first.coefficient, rel=1e-4)
        assert peak.rank in (0, 1) and peak.as_strong <= 2 / cell.statistics.n_tokens  # to rounding
    weak = try_text(model, index, cell.cell, "the")
    sample = index.sample(cell.cell, 1)
    for peak in filter(None, [weak.largest]):
        at_least = sample.weights[sample.coefficients >= peak.coefficient].sum() / cell.statistics.n_tokens
        assert peak.as_strong == pytest.approx(at_least)


@pytest.mark.parametrize("family", ["t5", "mixtral", "wikilm"])
def test_other_kinds_of_models_are_read_whole(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], family: str
) -> None:
    index, model = index_of(family), ffmem.load_model(str(tiny_folder(family)))
    cell = index.cell(index.cells.cell_id(index.n_layers - 1, 3))
    for trigger in cell.triggers[:2]:
        tried = try_text(model, index, cell.cell, trigger.text)
        of_text = [one for one in tried.tokens if one.number is not None]
        assert of_text[trigger.position].coefficient == pytest.approx(trigger.coefficient, rel=1e-3, abs=1e-5)


def test_a_text_without_tokens_or_with_too_many_is_refused(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    index, model = index_of("gpt2"), ffmem.load_model(str(tiny_folder("gpt2")))
    with pytest.raises(InputError, match="no token"):
        try_text(model, index, index.cell_id("L0.0"), "")
    monkeypatch.setattr("ffmem.analyses.try_text.MAX_TOKENS", 2)
    with pytest.raises(InputError, match="at most 2"):
        try_text(model, index, index.cell_id("L0.0"), "the old river")

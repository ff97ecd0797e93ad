"""A prediction as a sum: in every family the parts add up to the model's own score."""

import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
import torch

import ffmem
from ffmem import Index, InputError
from ffmem.analyses.explain import explain

TEXT = "The silver river of the winter village"
FAMILIES = [
    "llama",
    "opt",
    "gpt2",
    "gptj",
    "gpt_neox",
    "gemma2",
    "qwen3",
    "mixtral",
    "bloom",
    "wikilm",
    "wikilm_final_norm",
]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_parts_add_up_to_the_models_own_score(family: str, tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder(family))
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])
    logits = model.logits(ids)
    assert logits is not None
    own = logits[0, -1].double()
    found = explain(model, TEXT)
    assert found.rank == 0 and found.probability == pytest.approx(float(own.softmax(-1).max()), rel=1e-4)
    assert found.error < 1e-4
    cap = getattr(model.module.config, "final_logit_softcapping", None)
    score = math.tanh(found.score / cap) * cap if cap else found.score
    if not family.startswith("wikilm"):  # there scores are before the normalisers
        assert score == pytest.approx(float(own.max()), abs=1e-4)
    total = found.embedding + found.constant + sum(one.attention + one.cells + one.bias for one in found.layers)
    assert total == pytest.approx(found.score, abs=1e-4)
    assert found.layers[-1].target_rank == 0 and found.layers[-1].output_probability == pytest.approx(
        found.probability, rel=1e-4
    )


def test_under_an_adaptive_softmax_words_of_one_band_differ_as_their_log_probabilities_do(
    tiny_folder: Callable[[str], Path],
) -> None:
    model = ffmem.load_model(tiny_folder("wikilm"))
    n_bands = len(model.module.config.bands)
    assert n_bands == 3
    vocabulary = model.tokenizer.get_vocab()
    by_id = {number: token for token, number in vocabulary.items()}
    before, _ = model.special_tokens("auto")
    ids = torch.tensor([[*before, *model.tokenizer(TEXT, add_special_tokens=False).input_ids]])
    log_p = model.logits(ids)[0, -1]
    checked = 0
    for start, end, _ in model.module.config.bands:
        words = [
            one
            for one in range(start, end)
            if model.tokenizer(by_id.get(one, ""), add_special_tokens=False).input_ids == [one]
        ]
        for first, second in pairwise(words):
            found = explain(model, TEXT, target=by_id[first], against=by_id[second])
            assert found.score == pytest.approx(float(log_p[first] - log_p[second]), abs=1e-4) and found.error < 1e-4
            checked += 1
            break
    assert checked >= 2


@pytest.mark.parametrize("family", ["llama", "gemma2", "wikilm"])
def test_a_cells_share_is_its_coefficient_times_what_its_value_says(
    family: str, index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]
) -> None:
    model = ffmem.load_model(tiny_folder(family))
    index = index_of(family)
    found = explain(model, TEXT, index=index, limit=10**6)
    assert len(found.cells) == index.n_cells
    sizes = [abs(one.share) for one in found.cells]
    assert sizes == sorted(sizes, reverse=True)
    for layer in found.layers:
        shares = [one.share for one in found.cells if one.cell.cell.layer == int(layer.layer[1:])]
        assert sum(shares) == pytest.approx(layer.cells, abs=1e-6)
    known = [one for one in found.cells if one.cell.trigger is not None]
    assert known and all(one.cell.promoted for one in found.cells)


def test_against_is_the_difference_of_two(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(tiny_folder("gpt2"))
    one, other = (explain(model, TEXT, target=target) for target in ("t", "o"))
    both = explain(model, TEXT, target="t", against="o")
    assert both.score == pytest.approx(one.score - other.score, abs=1e-6)
    assert both.embedding == pytest.approx(one.embedding - other.embedding, abs=1e-6)
    for a, b, c in zip(one.layers, other.layers, both.layers, strict=True):
        assert c.attention == pytest.approx(a.attention - b.attention, abs=1e-6)
        assert c.cells == pytest.approx(a.cells - b.cells, abs=1e-6)


def test_what_cannot_be_explained_is_refused(tiny_folder: Callable[[str], Path]) -> None:
    gpt2 = ffmem.load_model(tiny_folder("gpt2"))
    with pytest.raises(InputError, match=r"is \d+ tokens: .*exactly one token"):
        explain(gpt2, TEXT, target=" no such token at all")
    with pytest.raises(InputError, match="has no token"):
        explain(gpt2, "")
    with pytest.raises(InputError, match="not a causal language model"):
        explain(ffmem.load_model(tiny_folder("bert")), TEXT)
    with pytest.raises(InputError, match="not a causal language model"):
        explain(ffmem.load_model(tiny_folder("t5")), TEXT)

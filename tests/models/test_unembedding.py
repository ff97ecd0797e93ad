"""Projections and linear scores, against the model's own head written out."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model

Folder = Callable[[str], Path]


@pytest.mark.parametrize("variant", ["gpt2", "llama", "gemma2", "gptj", "opt", "wikilm", "wikilm_final_norm"])
def test_a_linear_score_is_the_models_own(variant: str, tiny_folder: Folder) -> None:
    model = load_model(tiny_folder(variant))
    with torch.inference_mode():
        state = torch.randn(model.facts.d_model, generator=torch.Generator().manual_seed(1))
        head = model.unembedding
        normed = state if head.final_norm is None else head.final_norm(state)
        if variant.startswith("wikilm"):
            own = model.module.log_probabilities(normed)
        else:
            own = model.module.get_output_embeddings()(normed)
            cap = getattr(model.module.config, "final_logit_softcapping", None)
            own = own if cap is None else torch.tanh(own / cap) * cap
        for token in (3, 120, 260):
            score = head.linear_score(state, token)
            assert head.capped(score.whole(state)) == pytest.approx(float(own[token]), abs=2e-5)
            parts = torch.stack([state.double() * 0.25, state.double() * 0.75])
            assert float(score.of(parts).sum()) == pytest.approx(float(score.of(state)), abs=1e-9)
        second = head.linear_score(state, 3)
        assert score.less(second).whole(state) == pytest.approx(score.whole(state) - second.whole(state), abs=1e-9)
        assert torch.allclose(head.project(state, head.own_projection), own, atol=1e-5)


def test_each_model_has_one_projection_of_its_own(tiny_folder: Folder) -> None:
    expected = {
        "gpt2": "final-norm",
        "bert": "final-norm",
        "bert_headless": "raw",
        "wikilm": "adaptive",
        "opt_post_ln": "raw",
    }
    for variant, projection in expected.items():
        assert load_model(tiny_folder(variant)).unembedding.own_projection == projection, variant


def test_a_head_that_is_not_linear_has_no_linear_score(tiny_folder: Folder) -> None:
    model = load_model(tiny_folder("bert"))
    with pytest.raises(InputError, match="is not linear, so its scores are not sums"):
        model.unembedding.linear_score(torch.zeros(model.facts.d_model), 3)
    with pytest.raises(InputError, match="has no projection 'folded'"):
        model.unembedding.check("folded")


def test_directions_are_slopes_of_scores(tiny_folder: Folder) -> None:
    """Of logits anywhere, and of log-probabilities of an adaptive softmax at a state of zeros."""
    for variant in ("llama", "opt_post_ln", "wikilm"):
        model = load_model(tiny_folder(variant))
        step = 1e-2 * torch.eye(model.facts.d_model)
        with torch.inference_mode():
            slopes = (model.unembedding.of_normed(step) - model.unembedding.of_normed(-step)).T / 2e-2
            assert torch.allclose(model.unembedding.directions(), slopes, atol=2e-4), variant

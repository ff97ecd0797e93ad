"""Other weights in the place of a head's own: against a pass in which the same is done by hand."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from ffmem import InputError, load_model
from ffmem.analyses.attention.inputs import as_batch, read_text, run
from ffmem.analyses.attention.patches import patch_attention, patch_sweep
from ffmem.analyses.distances import jsd, kl, tvd
from ffmem.models.attention import AttentionStates
from ffmem.models.transformer import Transformer
from tests.conftest import VARIANTS

TEXT = "the quick brown fox jumps over the lazy dog"
HEADLESS = ("bert_headless", "roberta_headless")


def seen_of(model: Transformer, name: str) -> AttentionStates:
    found: list[AttentionStates] = []
    layers = [one for one in model.attention_layers if one.name == name]
    run(model, *as_batch(model, read_text(model, TEXT)), lambda _, states: found.append(states), layers)
    return found[0]


def prediction(model: Transformer) -> torch.Tensor:
    ids, target = as_batch(model, read_text(model, TEXT))
    mask = None if model.facts.causal else torch.ones_like(ids)
    if target is None:
        logits = model.logits(ids, mask)
    else:
        logits = model.module(input_ids=ids, attention_mask=mask, decoder_input_ids=target, use_cache=False).logits
    assert logits is not None
    return logits[0, -1].double().log_softmax(-1)


@pytest.mark.parametrize("patch", ["uniform", "norms"])
@pytest.mark.parametrize("variant", [one for one in VARIANTS if one not in HEADLESS])
def test_a_patched_head_is_a_head_with_those_weights(
    variant: str, patch: str, tiny_folder: Callable[[str], Path]
) -> None:
    model = load_model(tiny_folder(variant))
    layer = model.attention_layers[-1]
    states = seen_of(model, layer.name)
    allowed = (states.weights[0].sum(0) > 0).double()
    vectors = layer.expand(states.values[0])[:, 2].double() @ layer.output_matrix()[2].double()
    weights = allowed if patch == "uniform" else allowed * vectors.norm(dim=-1)
    weights = weights / weights.sum(1, keepdim=True)
    difference = (weights - states.weights[0, 2].double()) @ vectors
    own = prediction(model)

    def add(_: object, __: object, output: torch.Tensor) -> torch.Tensor:
        return output + difference.to(output.dtype)

    handle = layer._at(layer.part.output).register_forward_hook(add)
    changed = prediction(model)
    handle.remove()
    found = patch_attention(model, TEXT, [f"{layer.name}.H2"], patch=patch)  # type: ignore[arg-type]
    assert found.kl == pytest.approx(float(kl(own, changed)), rel=1e-3, abs=1e-9) and found.kl > 0
    assert found.tvd == pytest.approx(float(tvd(own, changed)), rel=1e-3)
    assert found.jsd == pytest.approx(float(jsd(own, changed)), rel=1e-3, abs=1e-9)
    assert torch.equal(prediction(model), own)  # as it was


def test_a_sweep_is_each_patch_by_itself(tiny_folder: Callable[[str], Path]) -> None:
    model = load_model(tiny_folder("llama"))
    done: list[tuple[int, int]] = []
    sweep = patch_sweep(model, TEXT, on_layer=lambda *now: done.append(now))
    assert [one.where for one in sweep.layers] == ["L0", "L1", "L2"] and len(sweep.heads) == 12
    assert done == [(1, 3), (2, 3), (3, 3)]
    for one in (*sweep.layers, *sweep.heads):
        alone = patch_attention(model, TEXT, [one.where])
        assert one.kl == pytest.approx(alone.kl, rel=1e-4, abs=1e-9) and one.top == alone.top
    whole = patch_attention(model, TEXT, [f"L1.H{head}" for head in range(4)])
    assert whole.kl == pytest.approx(sweep.layers[1].kl, rel=1e-5)
    assert [one.where for one in patch_sweep(model, TEXT, layers=["L2"]).heads] == [f"L2.H{n}" for n in range(4)]


def test_equal_weights_change_nothing_where_weights_are_equal(tiny_folder: Callable[[str], Path]) -> None:
    """A head whose queries are 0 looks everywhere alike."""
    model = load_model(tiny_folder("llama"))
    model.layer(1).at("self_attn.q_proj").weight.zero_()
    sweep = patch_sweep(model, TEXT)
    assert sweep.layers[1].kl < 1e-10 < 1e-6 < sweep.layers[2].kl


def test_windows_stay_windows(tiny_folder: Callable[[str], Path]) -> None:
    """Sources that a query may not look at get nothing from a patch."""
    model = load_model(tiny_folder("mistral"))  # a window of 4
    from ffmem.analyses.attention.patches import _before, _weights

    _, allowed, _ = _before(model, TEXT, "uniform", None, -1, "auto")
    states = seen_of(model, "L1")
    weights = _weights(model.attention_layers[1], states.values[0], allowed["L1"], "uniform", 0)
    assert torch.allclose(weights.sum(1), torch.ones(len(weights)))
    assert (weights > 0).sum(1).tolist() == [min(n + 1, 4) for n in range(len(weights))]


@pytest.mark.parametrize(
    ("variant", "asked", "told"),
    [
        ("gpt2", {"heads": ["L9.H0"]}, r"no attention 'L9'.*Expected one of: L0, L1, L2"),
        ("gpt2", {"heads": ["L1.H4"]}, r"no head L1.H4: L1 has 4 heads.*H0 to H3"),
        ("gpt2", {"heads": []}, r"no head is named.*L0.H0"),
        ("gpt2", {"heads": ["L1"], "at": 99}, r"the position is 99.*Expected -\d+ to \d+"),
        ("gpt2", {"heads": ["L1"], "target": "x"}, "no decoder that could read it"),
        ("gpt2", {"heads": ["L1"], "text": "s"}, r"a single token.*two tokens or more"),
        ("bert_headless", {"heads": ["L1"]}, r"predicts nothing.*no head over the vocabulary"),
    ],
)
def test_what_a_user_can_mend(
    variant: str, asked: dict[str, object], told: str, tiny_folder: Callable[[str], Path]
) -> None:
    named = dict(asked)
    text, heads = named.pop("text", TEXT), named.pop("heads")
    with pytest.raises(InputError, match=told):
        patch_attention(load_model(tiny_folder(variant)), text, heads, **named)  # type: ignore[arg-type]

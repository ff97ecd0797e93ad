"""The average Jacobian against plain derivatives of the model's own call, finite differences, and models that are linear."""

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import ffmem
from ffmem import InputError
from ffmem.analyses.lenses.jacobian import AverageJacobian, average_jacobian
from ffmem.models.transformer import Transformer

ARCHITECTURES = ("gpt2", "gpt_neox", "gptj", "falcon", "gemma2", "opt_post_ln", "wikilm", "mixtral", "llama")
"""Pre-norm, parallel in three ways, sandwich, post-norm (one with an adaptive softmax), a mixture, gated."""
IDS = np.array([5, 9, 14, 7])


def states(model: Transformer, ids: Tensor, place: int, added: Tensor) -> Tensor:
    """The stream after the last layer, of the model's own call, with something added to that after one layer."""
    seen: list[Tensor] = []

    def add(_: Any, __: Any, output: Any) -> Any:
        state = output if isinstance(output, Tensor) else output[0]
        changed = (state.view(*ids.shape, -1) + added).view(state.shape)
        return changed if isinstance(output, Tensor) else (changed, *output[1:])

    def keep(_: Any, __: Any, output: Any) -> None:
        seen.append((output if isinstance(output, Tensor) else output[0]).view(*ids.shape, -1))

    handles = [
        model.layer(place).module.register_forward_hook(add),
        model.layer(model.facts.n_layers - 1).module.register_forward_hook(keep),
    ]
    try:
        model.module(ids)
    finally:
        for handle in handles:
            handle.remove()
    return seen[0]


def derivatives(model: Transformer, place: int) -> Tensor:
    """(last position, number, position, number) of the last states by those after a layer, without special tokens."""
    ids = torch.from_numpy(IDS)[None]
    nothing = torch.zeros(1, len(IDS), model.facts.d_model)
    every: Tensor = torch.autograd.functional.jacobian(  # type: ignore[no-untyped-call]
        lambda added: states(model, ids, place, added), nothing
    )
    return every[0, :, :, 0]


@pytest.mark.parametrize("family", ARCHITECTURES)
def test_later_tokens_are_the_sum_over_all_last_states(tiny_folder: Callable[[str], Path], family: str) -> None:
    model = ffmem.load_model(str(tiny_folder(family)))
    found = average_jacobian(model, [IDS], bos="no", reach="later")
    assert found.n_positions == len(IDS) - 1
    for place in range(model.facts.n_layers):
        expected = derivatives(model, place)[:, :, 1:].sum(0).mean(1)  # the first position of the input is left out
        torch.testing.assert_close(found.matrices[place], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "opt_post_ln", "gemma2"])
def test_over_all_signs_the_same_token_is_exact(
    tiny_folder: Callable[[str], Path], family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = ffmem.load_model(str(tiny_folder(family)))
    total = torch.zeros(model.facts.n_layers, model.facts.d_model, model.facts.d_model)
    every = list(product((-1.0, 1.0), repeat=len(IDS)))
    for signs in every:
        monkeypatch.setattr("ffmem.analyses.lenses.jacobian._signs", lambda _, __, drawn=signs: np.array([drawn]))
        total += average_jacobian(model, [IDS], bos="no").matrices
    for place in range(model.facts.n_layers - 1):
        own = derivatives(model, place)
        expected = torch.stack([own[t, :, t] for t in range(1, len(IDS))]).mean(0)
        torch.testing.assert_close(total[place] / len(every), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("family", ["gpt2", "llama", "opt_post_ln", "gpt_neox"])
def test_finite_differences_of_the_models_own_call_agree(tiny_folder: Callable[[str], Path], family: str) -> None:
    """Of an input whose only position that counts is its last: there signs have no part, and "later" is "same"."""
    model = ffmem.load_model(str(tiny_folder(family)))
    model.module.double()
    found = average_jacobian(model, [IDS[:2]], bos="no")
    ids, step = torch.from_numpy(IDS[:2])[None], 1e-3
    for place in range(model.facts.n_layers - 1):
        direction = torch.randn(model.facts.d_model, generator=torch.Generator().manual_seed(place)).double()
        added = torch.zeros(1, 2, model.facts.d_model, dtype=torch.float64)
        added[0, 1] = direction * step
        with torch.no_grad():
            change = (states(model, ids, place, added) - states(model, ids, place, -added))[0, 1] / (2 * step)
        torch.testing.assert_close(found.moved(place, direction[None])[0].double(), change, rtol=1e-2, atol=2e-3)


def test_the_same_token_agrees_with_itself_on_other_signs(tiny_folder: Callable[[str], Path]) -> None:
    """Signs average out, and a seed gives the same again."""
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    rng = np.random.default_rng(0)
    sentences = [rng.integers(5, 60, 12) for _ in range(12)]
    first, again, other = (average_jacobian(model, sentences, bos="no", seed=seed).matrices for seed in (0, 0, 1))
    assert torch.equal(first, again) and not torch.equal(first[0], other[0])
    assert float((first[0] - other[0]).norm() / first[0].norm()) < 0.2


def test_the_last_layer_has_the_identity_and_means_are_those_of_the_states(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    end = model.facts.n_layers - 1
    found = average_jacobian(model, [IDS, IDS[:3]], bos="no", places=[0, end])
    assert torch.equal(found.matrices[1], torch.eye(model.facts.d_model)) and found.n_positions == 5
    last = [states(model, torch.from_numpy(some)[None], 0, torch.zeros(1))[0, 1:] for some in (IDS, IDS[:3])]
    torch.testing.assert_close(found.mean_last, torch.cat(last).mean(0).detach(), rtol=1e-4, atol=1e-5)
    some = torch.randn(3, model.facts.d_model)
    torch.testing.assert_close(found.expected(1, some), some, rtol=1e-4, atol=1e-5)


def test_of_a_linear_model_the_lens_is_the_models_own_output(tiny_folder: Callable[[str], Path]) -> None:
    """Layers that add a fixed matrix times their input: nothing of the average is lost."""
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    made = [torch.randn(model.facts.d_model, model.facts.d_model) * 0.2 for _ in range(model.facts.n_layers)]
    handles = [
        model.layer(place).module.register_forward_hook(
            lambda _, arguments, output, own=own: (
                arguments[0] + arguments[0] @ own.T
                if isinstance(output, Tensor)
                else (arguments[0] + arguments[0] @ own.T, *output[1:])
            )
        )
        for place, own in enumerate(made)
    ]
    try:
        found = average_jacobian(model, [IDS], bos="no", reach="later")
    finally:
        for handle in handles:
            handle.remove()
    eye = torch.eye(model.facts.d_model)
    expected = eye
    for place in reversed(range(model.facts.n_layers)):
        torch.testing.assert_close(found.matrices[place], expected, rtol=1e-4, atol=1e-5)
        expected = expected @ (eye + made[place])
    some = torch.randn(4, model.facts.d_model)
    through = some
    for own in made[1:]:
        through = through + through @ own.T
    torch.testing.assert_close(
        model.project(found.moved(0, some), "final-norm"), model.project(through, "final-norm"), rtol=1e-3, atol=1e-4
    )


def test_padding_special_tokens_and_batches_change_nothing(tiny_folder: Callable[[str], Path]) -> None:
    model = ffmem.load_model(str(tiny_folder("llama")))
    sentences = [IDS, IDS[:2], IDS[::-1].copy()]

    def of(some: list[np.ndarray]) -> AverageJacobian:
        return average_jacobian(model, some, bos="auto", reach="later")

    together, alone = of(sentences), [of([one]) for one in sentences]
    weights = [one.n_positions for one in alone]
    assert together.n_positions == sum(weights)
    expected = sum(one.matrices * n for one, n in zip(alone, weights, strict=True)) / sum(weights)
    assert isinstance(expected, Tensor)
    torch.testing.assert_close(together.matrices, expected, rtol=1e-3, atol=1e-5)


def test_what_cannot_be_asked(tiny_folder: Callable[[str], Path]) -> None:
    with pytest.raises(InputError, match="not a causal language model"):
        average_jacobian(ffmem.load_model(str(tiny_folder("bert"))), [IDS], bos="no")
    with pytest.raises(InputError, match="not a causal language model"):
        average_jacobian(ffmem.load_model(str(tiny_folder("t5"))), [IDS], bos="no")
    model = ffmem.load_model(str(tiny_folder("gpt2")))
    with pytest.raises(InputError, match="behind the first of its input"):
        average_jacobian(model, [IDS[:1]], bos="no")
    with torch.no_grad():
        handle = model.layer(1).module.register_forward_hook(
            lambda _, __, output: output.detach() if isinstance(output, Tensor) else (output[0].detach(), *output[1:])
        )
    with pytest.raises(InputError, match="autograd cannot follow"):
        average_jacobian(model, [IDS], bos="no")
    handle.remove()

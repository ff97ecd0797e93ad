"""A norm at known states is a linear map: against the modules of the libraries themselves."""

from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm
from transformers.models.t5.modeling_t5 import T5LayerNorm

from ffmem.models.frozen_norm import FrozenNorm, freeze

D = 12


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 2


def filled(norm: nn.Module) -> nn.Module:
    with torch.no_grad():
        for number, parameter in enumerate(norm.parameters()):
            parameter.copy_(random(number + 10, D))
    return norm.requires_grad_(False)


NORMS: dict[str, tuple[Callable[[], nn.Module], Callable[[nn.Module], torch.Tensor], bool]] = {
    "LayerNorm": (lambda: nn.LayerNorm(D, eps=0.3), lambda norm: norm.weight, True),
    "LayerNorm without a bias": (lambda: nn.LayerNorm(D, bias=False), lambda norm: norm.weight, True),
    "LayerNorm without weights": (
        lambda: nn.LayerNorm(D, elementwise_affine=False), lambda norm: torch.ones(1), True
    ),
    "Llama": (lambda: LlamaRMSNorm(D, eps=0.3), lambda norm: norm.weight, False),
    "T5": (lambda: T5LayerNorm(D, eps=1e-6), lambda norm: norm.weight, False),
    "Gemma": (lambda: Gemma2RMSNorm(D, eps=1e-6), lambda norm: 1 + norm.weight, False),
}  # fmt: skip
"""By name the module, what it multiplies with, and whether it takes the mean away."""


@pytest.fixture(params=NORMS)
def frozen(request: pytest.FixtureRequest) -> tuple[nn.Module, torch.Tensor, FrozenNorm]:
    make, gain, centres = NORMS[request.param]
    norm, states = filled(make()), random(0, 3, 5, D)
    return norm, states, freeze(norm, states, gain(norm), centres)


def test_the_whole_state_comes_out_as_the_norm_gives_it(frozen: tuple[nn.Module, torch.Tensor, FrozenNorm]) -> None:
    norm, states, found = frozen
    bias = 0 if found.bias is None else found.bias
    assert torch.allclose(found(states.double()) + bias, norm(states).double(), atol=1e-5)
    assert (found.bias is None) == (getattr(norm, "bias", None) is None)


def test_the_scale_is_one_over_the_length_whatever_the_epsilon(
    frozen: tuple[nn.Module, torch.Tensor, FrozenNorm],
) -> None:
    norm, states, found = frozen
    centred = states - states.mean(-1, keepdim=True) if found.centres else states
    epsilon = next(getattr(norm, name) for name in ("eps", "variance_epsilon") if hasattr(norm, name))
    expected = 1 / (centred.double().pow(2).mean(-1) + epsilon).sqrt()
    assert found.scale.shape == (3, 5) and torch.allclose(found.scale, expected, rtol=1e-5)


def test_parts_add_up_behind_it_as_before_it(frozen: tuple[nn.Module, torch.Tensor, FrozenNorm]) -> None:
    norm, states, found = frozen
    parts = random(5, 4, 3, 5, D).double()
    parts[-1] = states.double() - parts[:-1].sum(0)
    bias = 0 if found.bias is None else found.bias
    together = torch.stack([found(part) for part in parts]).sum(0) + bias
    assert torch.allclose(together, norm(states).double(), atol=1e-4)
    # gain and centring alone are the same for all states: a matrix
    matrix = found.shaped(torch.eye(D, dtype=torch.float64))
    assert torch.allclose(found.shaped(parts), parts @ matrix, atol=1e-10)


def test_a_state_of_zeros_has_no_length_and_gives_zeros() -> None:
    norm = filled(nn.LayerNorm(D, eps=0.0))
    states = torch.zeros(2, D)
    states[1] = 3.0  # nothing is left of it when its mean is gone
    found = freeze(nn.LayerNorm(D), states, norm.weight, True)
    assert found.scale.tolist() == [0.0, 0.0]
    assert found(random(1, 2, D).double()).abs().max() == 0.0


def test_half_precision_is_frozen_in_double() -> None:
    norm = filled(LlamaRMSNorm(D)).bfloat16()
    states = random(0, 4, D).bfloat16()
    found = freeze(norm, states, norm.weight, False)
    assert {found.gain.dtype, found.scale.dtype} == {torch.float64}
    assert torch.allclose(found(states.double()), norm(states).double(), rtol=0.02, atol=0.02)

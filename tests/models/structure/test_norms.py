"""Norms of torch and of a few lines, told apart by what they give."""

import pytest
import torch
from torch import Tensor, nn

from ffmem.models.structure.norms import NormKind, norm_kind
from ffmem.models.structure.recording import record

X = torch.tensor([[1.0, 2.0, -3.0, 0.5], [4.0, 0.1, 0.2, -1.0], [0.3, 0.3, 2.0, 1.0]])


class PlusOne(nn.Module):
    """As Gemma's: the gain is 1 + weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([0.5, -0.2, 0.1, 0.3]))

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True)) * (1 + self.weight)


class Squashed(nn.LayerNorm):
    """No norm: what it gives is bent."""

    def forward(self, input: Tensor) -> Tensor:
        return torch.tanh(super().forward(input))


def drawn(norm: nn.Module) -> nn.Module:
    """With gains and biases that are not trivial."""
    with torch.no_grad():
        for n, one in enumerate(norm.parameters()):
            one.copy_(torch.tensor([0.5, 2.0, -0.7, 1.3]) + n)
    return norm


@pytest.mark.parametrize(
    ("norm", "kind"),
    [
        (drawn(nn.LayerNorm(4)), NormKind(centres=True, offset=0.0)),
        (nn.LayerNorm(4, elementwise_affine=False), NormKind(centres=True, offset=None)),
        (drawn(nn.RMSNorm(4)), NormKind(centres=False, offset=0.0)),
        (nn.RMSNorm(4, elementwise_affine=False), NormKind(centres=False, offset=None)),
        (PlusOne(), NormKind(centres=False, offset=1.0)),
        (nn.Identity(), None),
        (nn.Linear(4, 4), None),
        (nn.Tanh(), None),
        (drawn(Squashed(4)), None),
    ],
    ids=lambda one: type(one).__name__,
)
def test_kinds(norm: nn.Module, kind: NormKind | None) -> None:
    (call,) = record(nn.Sequential(norm), {"input": X}).of(norm)
    assert norm_kind(call, 1e-5) == kind

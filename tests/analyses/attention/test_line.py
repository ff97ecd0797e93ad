"""Integrated gradients of a gated cell: what is gained is shared out to the last bit that an integral has, kinks and all."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers.activations import ACT2FN

from ffmem.analyses.attention.line import slopes_on_line

PLACES = st.floats(-60, 60, allow_subnormal=False)
SMOOTH = ("silu", "gelu", "gelu_new", "gelu_pytorch_tanh", "quick_gelu", "mish", "tanh", "sigmoid")
KINKED = ("relu", "relu2", "relu6", "leaky_relu", "hardswish", "gelu_10", "linear")


def _line(*places: float) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    gate, gate_end, up, up_end = torch.tensor(places, dtype=torch.float64)[:, None]
    return gate, gate_end, up, up_end


@given(name=st.sampled_from(SMOOTH + KINKED), g=PLACES, g_end=PLACES, u=PLACES, u_end=PLACES)
def test_what_both_branches_gain_is_what_the_cell_gains(
    name: str, g: float, g_end: float, u: float, u_end: float
) -> None:
    act = ACT2FN[name]
    gate, gate_end, up, up_end = _line(g, g_end, u, u_end)
    of_gate, of_up = slopes_on_line(act, (gate, gate_end), (up, up_end))
    gained = float(of_gate * (gate_end - gate) + of_up * (up_end - up))
    size = max(abs(g), abs(g_end), 1.0) * max(abs(u), abs(u_end), 1.0)
    assert gained == pytest.approx(float(act(gate_end) * up_end - act(gate) * up), abs=1e-9 * size)


@pytest.mark.parametrize("name", SMOOTH + KINKED)
@pytest.mark.parametrize("places", [(-2.0, 5.0, 0.5, -1.5), (0.0, 0.7, 0.0, 3.0), (4.0, -14.0, 2.0, 2.0)])
def test_the_worth_of_a_unit_is_the_mean_of_the_gradient(name: str, places: tuple[float, float, float, float]) -> None:
    """Against 200,000 steps of autograd on the product itself."""
    gate, gate_end, up, up_end = _line(*places)
    times = (torch.arange(200_000, dtype=torch.float64) + 0.5) / 200_000
    gates, ups = (gate + times * (gate_end - gate)).requires_grad_(), (up + times * (up_end - up)).requires_grad_()
    slow = torch.autograd.grad((ACT2FN[name](gates) * ups).sum(), (gates, ups))
    found = slopes_on_line(ACT2FN[name], (gate, gate_end), (up, up_end))
    for one, gradients in zip(found, slow, strict=True):
        assert float(one) == pytest.approx(float(gradients.mean()), abs=1e-4)


def test_a_line_that_goes_nowhere_has_the_slope_of_its_place() -> None:
    gate, up = torch.tensor([1.5, -0.5], dtype=torch.float64), torch.tensor([2.0, 3.0], dtype=torch.float64)
    of_gate, of_up = slopes_on_line(torch.relu, (gate, gate), (up, up))
    assert (of_gate.tolist(), of_up.tolist()) == (pytest.approx([2.0, 0.0]), pytest.approx([1.5, 0.0]))

"""Rotations of the first positions in a longer input, against the formula of a module written here."""

import pytest
import torch
from torch import nn

from ffmem.models.rotary import rotary_error


class Rotary(nn.Module):
    def __init__(self, stretch: float) -> None:
        super().__init__()
        self.register_buffer("inv_freq", torch.tensor([1.0, 0.1]))
        self.stretch = stretch

    def forward(self, x: torch.Tensor, position_ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        scale = self.stretch if position_ids.shape[1] > 8 else 1.0
        angles = position_ids[..., None] * self.inv_freq / scale
        return angles.cos(), angles.sin()


def test_a_length_that_changes_frequencies_is_measured() -> None:
    positions, frequencies = torch.arange(4)[:, None], torch.tensor([1.0, 0.1])
    plain, stretched = positions * frequencies, positions * frequencies / 2
    expected = max(
        float((plain.cos() - stretched.cos()).abs().max()), float((plain.sin() - stretched.sin()).abs().max())
    )
    assert rotary_error(nn.Sequential(Rotary(2.0)), 4, 16) == pytest.approx(expected, abs=1e-6)
    assert rotary_error(nn.Sequential(Rotary(2.0)), 4, 8) == 0
    assert rotary_error(nn.Sequential(Rotary(1.0)), 4, 16) == 0


def test_nothing_is_measured_without_rotations_or_a_longer_input() -> None:
    assert rotary_error(nn.Linear(2, 2), 4, 16) is None
    assert rotary_error(nn.Sequential(Rotary(2.0)), 4, 4) is None

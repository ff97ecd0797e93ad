"""Portions of weights, on modules whose portions are known."""

import torch
from torch import Tensor, nn

from ffmem.models.streaming.pages import FilePages
from ffmem.models.streaming.units import blocks_of, units_of


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.experts = nn.ModuleList([nn.Linear(8, 8), nn.Linear(8, 8)])
        self.norm = nn.LayerNorm(8)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(50, 8)
        self.body = nn.Module()
        self.body.layers = nn.ModuleList([Block(), nn.Identity(), Block()])
        self.body.norm = nn.LayerNorm(4)
        self.head = nn.Linear(8, 50, bias=False)
        self.head.weight = self.embedding.weight


def dtype_of(one: Tensor) -> torch.dtype:
    return torch.float16 if one.ndim == 2 else torch.float32


def test_blocks_are_the_members_of_the_outermost_lists() -> None:
    model = Model()
    assert list(blocks_of(model)) == ["body.layers.0", "body.layers.2"]
    assert list(blocks_of(model).values()) == [model.body.layers[0], model.body.layers[2]]
    assert blocks_of(nn.Linear(2, 2)) == {}


def test_each_weight_is_in_one_unit() -> None:
    rest, units = units_of(Model(), dtype_of, FilePages())
    assert list(units) == ["embedding", "body.layers.0", "body.layers.2"]
    assert [unit.is_block for unit in units.values()] == [False, True, True]
    assert units["embedding"].n_bytes == 2 * 50 * 8
    assert units["body.layers.0"].n_bytes == 2 * (2 * 8 * 8) + 4 * (2 * 8 + 2 * 8)
    assert rest.n_bytes == 4 * 8, "the last norm: too small to come and go"
    assert not any(one.in_file for unit in units.values() for one in unit.weights)


def test_a_weight_runs_in_place_on_a_cpu_in_its_own_type() -> None:
    _, units = units_of(Model(), lambda one: torch.float32, FilePages())
    weight = units["embedding"].weights[0]
    assert weight.runs_in_place(torch.device("cpu")) and weight.stays(torch.device("cpu"))
    assert not weight.runs_in_place(torch.device("cuda")) and not weight.stays(torch.device("cuda"))
    weight.dtype = torch.bfloat16
    assert not weight.runs_in_place(torch.device("cpu"))

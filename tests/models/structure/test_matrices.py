"""Linear maps, told from what only has a weight."""

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ffmem.models.structure.matrices import embedding_of, is_matrix, matrices, relative, weight_of
from ffmem.models.structure.recording import record

X = torch.tensor([[1.0, 2.0, -3.0], [4.0, 0.1, 0.2]])


class Doubled(nn.Linear):
    """Has a weight, and multiplies with twice that."""

    def forward(self, input: Tensor) -> Tensor:
        return 2 * super().forward(input)


class OfAll(nn.Module):
    """Several modules on the same input."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.linear, self.plain = nn.Linear(3, 5), nn.Linear(3, 4, bias=False)
        self.conv, self.doubled = Conv1D(6, 3), Doubled(3, 3)
        self.norm, self.table = nn.LayerNorm(3), nn.Embedding(3, 3)

    def forward(self, x: Tensor) -> None:
        for part in (self.linear, self.plain, self.conv, self.doubled, self.norm):
            part(x)
        self.table(torch.tensor([0, 1]))


def test_only_linear_maps_are() -> None:
    recording = record(OfAll().eval(), {"x": X})
    assert [one.path for one in matrices(recording.calls)] == ["linear", "plain", "conv"]


def test_a_bias_that_is_left_out_is_seen() -> None:
    module = OfAll().eval()
    call = next(one for one in record(module, {"x": X}).calls if one.path == "linear")
    module.linear.bias.data += 0.01
    assert is_matrix(call, limit=1e-1) and not is_matrix(call)


def test_rows_are_those_of_inputs() -> None:
    module = OfAll()
    assert torch.equal(weight_of(module.linear), module.linear.weight.T)
    assert torch.equal(weight_of(module.conv), module.conv.weight)
    assert embedding_of(module) is None


def test_paths_from_a_module() -> None:
    assert relative("model.layers.0.mlp", "model.layers.0") == "mlp"
    assert relative("mlp", "") == "mlp" and relative("mlp", "mlp") == ""
